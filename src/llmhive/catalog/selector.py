"""Which models a need is best served by. START READING HERE.

A `Selector` is made once per version of the catalog and answers any number of needs in microseconds:

* `Scorer` finds the offers that meet the need, what they cost, the marks that makes, and the order (`scorer`, above
  `offers`, `condition`, `marks` and `quality`);
* a `Shortlist` is that order; what people read of it is made when they do (`shortlist`, above `choice`, `rejection`,
  `flip`, `explanation` and `request`).

Every formula stands in docs/selection.md with an example. Design 4.9.
"""

from __future__ import annotations

from llmhive.catalog.need import Need
from llmhive.catalog.scorer import Scorer
from llmhive.catalog.selectable import Stock
from llmhive.catalog.shortlist import Shortlist


class Selector:
    """The models of one version of the catalog, to be chosen from."""

    def __init__(self, stock: Stock) -> None:
        """`stock` may have its models in any order."""
        self.stock = stock
        self.scorer = Scorer(stock)

    def select(self, need: Need, doubts: tuple[str, ...] = ()) -> Shortlist:
        """The models that serve a need best; none where no model meets it. `doubts`: what to mind of the catalog.

        Raises `UsageError` for a capability, a parameter, a modality or a quantization that there is not, and
        `NotFound` for a model to start from that was never seen.
        """
        return Shortlist(self.scorer, self.scorer.score(need), doubts)
