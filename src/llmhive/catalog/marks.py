"""The scales that marks are on, fixed once: a mark of 0 to 1 says what a price, a speed or a nearness is worth; pure.

They do not depend on who else is in the catalog, so that nobody's mark changes because another comes or goes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Scores are compared to so many parts of 1.
FINE = 1e9
#: The price mark is 1 at so many USD per million tokens, and a quarter less for each power of ten: 0 at 100 USD.
CHEAPEST, DECADES = 0.01, 4.0
#: The price mark of what has no known price, and the speed mark of what nobody measured.
UNPRICED, UNMEASURED = 0.25, 0.25
#: The speed mark is 1 where an answer takes a second, and 0 where it takes so many powers of ten more.
SLOWEST_DECADES = 2.0
#: Powers of ten in price that are no nearness at all.
FAR_DECADES = 2.0
#: USD per million tokens that are nothing.
FREE = 1e-9

_OFFSET = math.log10(CHEAPEST) / DECADES + 1
_NO_TIME = 1e-9  #: seconds


def of_costs(costs: Floats, tokens: int) -> Floats:
    """The price marks of what a usage of so many tokens costs, in USD above 0; infinite: not known."""
    # one step after the other on one column: this stands in the way of every choice
    marks = np.log10(costs)
    marks *= -1 / DECADES
    marks += _OFFSET - math.log10(1e6 / tokens) / DECADES
    np.minimum(marks, 1.0, out=marks)
    np.maximum(marks, 0.0, out=marks)
    return marks


def price_at(mark: float) -> float:
    """The USD per million tokens that have a price mark."""
    return float(10 ** ((_OFFSET - mark) * DECADES))


def of_seconds(seconds: Floats) -> Floats:
    """The speed marks of seconds to a whole answer; infinite: nobody measured them."""
    known = np.isfinite(seconds)
    # no time at all is as good as very little
    marks = 1.0 - np.log10(np.where(known, np.maximum(seconds, _NO_TIME), 1.0)) / SLOWEST_DECADES
    found: Floats = np.where(known, np.minimum(np.maximum(marks, 0.0), 1.0), UNMEASURED)
    return found


def of_nearness(costs: Floats, cost: float | None, tokens: int) -> Floats:
    """How near costs of a usage are to another cost of it; None: that is not known."""
    least = FREE * tokens / 1e6
    if cost is None:
        return np.full(len(costs), UNPRICED)
    if not cost:
        return np.where(costs <= least, 1.0, UNPRICED).astype(np.float64)
    is_priced = np.isfinite(costs) & (costs > least)
    apart = np.abs(np.log10(np.where(is_priced, costs, 1.0) / cost))
    return np.where(is_priced, np.maximum(1.0 - apart / FAR_DECADES, 0.0), UNPRICED).astype(np.float64)
