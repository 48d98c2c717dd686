"""Two real years of choosing: with hysteresis the choice changes only when that is worth it, and less often.

That it does is asserted at every capture, by `two_years.live`: the model in use stays unless it no longer qualifies or
another is better by the margin, and then the best one follows it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from llmhive.app.choices import Selectors
from llmhive.store.database import connect
from tests.history import measured, two_years

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("known", [two_years.THEN, two_years.JULY], ids=["then", "july"])
def test_two_years_of_choices(tmp_path: Path, known: str) -> None:
    lives, looks = two_years.replay(tmp_path, known)
    table = two_years.table(lives)
    print(table)
    for free, sticky in zip(lives[::2], lives[1::2], strict=True):
        need = two_years.NEEDS[free.name]
        assert free.chosen == sticky.chosen > 700
        assert 0 < sticky.switches <= free.switches
        assert free.lost == 0
        assert sticky.lost < need.margin * sticky.chosen
    assert sum(it.switches for it in lives[1::2]) * 2 < sum(it.switches for it in lives[::2])
    if known == two_years.THEN:
        the_walk_is_the_catalog(tmp_path, looks)
    kept = [line for line in measured.kept("switches").splitlines() if f"| {known} |" in line]
    assert kept == table.splitlines()[2:], "run `python -m tests.history.two_years`"


def the_walk_is_the_catalog(folder: Path, looks: list[two_years.Look]) -> None:
    """What was chosen on the way is what `llmhive select --as-of` chooses."""
    assert len(looks) == 7 * len(two_years.NEEDS)
    assert any(it.at >= two_years.MEASURED_SINCE for it in looks)
    database = connect(f"sqlite:///{folder / two_years.DATABASE}")
    selectors = Selectors(database)
    for it in looks:
        assert selectors.at(it.at).select(two_years.NEEDS[it.name]).ids == it.ids
    database.close()
