"""Timeline: what OpenRouter said of each model, feed after feed.

`news` is one step: a model's listing changes when a feed lists it anew or otherwise, or, in its scope, no longer. A
timeline is nothing but these steps over feeds in the order of their times, so the same captures give the same one
however they came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from llmhive.catalog.feed import Feed, Record, missing
from llmhive.catalog.model import Version


@dataclass(frozen=True, slots=True)
class Listing:
    """What was last said of one model."""

    version: Version
    is_listed: bool


def news(listings: Mapping[str, Listing], feed: Feed) -> dict[str, Listing]:
    """The listings that a feed changes."""
    found: dict[str, Listing] = {}
    for record in feed.records:
        before = listings.get(record.id)
        if before is None or not before.is_listed or before.version != record.version:
            found[record.id] = Listing(record.version, is_listed=True)
    listed = {model_id: listing.version.model for model_id, listing in listings.items() if listing.is_listed}
    for model_id in missing(feed, listed):
        found[model_id] = Listing(listings[model_id].version, is_listed=False)
    return found


@dataclass
class Timeline:
    """The steps of all models from some instant on; feeds are taken in the order of their times."""

    #: now; at the beginning, what was so before the first feed
    listings: dict[str, Listing] = field(default_factory=dict)
    #: model → its steps, oldest first
    steps: dict[str, list[tuple[datetime, Listing]]] = field(default_factory=dict)
    #: model → the record that listed it last, of the feeds taken
    records: dict[str, Record] = field(default_factory=dict)
    #: model → when it was listed last, of the feeds taken
    seen: dict[str, datetime] = field(default_factory=dict)
    _before: dict[str, Listing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = dict(self.listings)

    def take(self, feed: Feed, at: datetime) -> None:
        """Take the next feed; of two of the same instant the later one counts."""
        for model_id, listing in news(self.listings, feed).items():
            steps = self.steps.setdefault(model_id, [])
            if steps and steps[-1][0] == at:
                steps.pop()
                before = steps[-1][1] if steps else self._before.get(model_id)
                if before is None and not listing.is_listed:
                    # the later one does not know it, so it never was there
                    del self.listings[model_id]
                    continue
                if before == listing:
                    self.listings[model_id] = listing
                    continue
            steps.append((at, listing))
            self.listings[model_id] = listing
        for record in feed.records:
            self.records[record.id] = record
            self.seen[record.id] = at

    def before(self, model_id: str) -> Listing | None:
        """What was said of a model before the first step."""
        return self._before.get(model_id)
