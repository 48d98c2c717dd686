"""Every id of two years, read: whose line no table knows, and who is whose family.

Run with ``-rP`` to see the rate, the fallbacks, and all families with their members.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import chain

import msgspec
import pytest

from llmhive.catalog.identity import identify
from llmhive.catalog.lines import LINES
from tests.support import captures

pytestmark = [pytest.mark.history, pytest.mark.timeout(300)]

#: Of all ids: how many must be of a line that we know.
KNOWN = 0.95


class Listed(msgspec.Struct):
    id: str


class Body(msgspec.Struct):
    data: list[Listed]


@lru_cache(maxsize=1)
def every_id() -> tuple[str, ...]:
    read = msgspec.json.Decoder(Body)
    bodies = chain(captures("history-12h"), captures("all-modalities-daily"))
    return tuple(sorted({it.id for _, body in bodies for it in read.decode(body).data}))


def test_most_ids_are_of_a_known_line() -> None:
    ids = every_id()
    unknown = [model_id for model_id in ids if identify(model_id).is_fallback]
    print(f"{1 - len(unknown) / len(ids):.1%} of {len(ids)} ids are of a line that we know; these are not:")
    for model_id in unknown:
        print(f"  {model_id}  →  {identify(model_id).family}")
    assert len(ids) > 1000
    assert len(unknown) <= (1 - KNOWN) * len(ids)


def test_every_family_is_its_authors() -> None:
    for model_id in every_id():
        author = model_id.removeprefix("~").partition("/")[0]
        assert identify(model_id).family.startswith(f"{author}/")
        assert len(identify(model_id).family) > len(author) + 1


def test_families_and_their_members() -> None:
    """Every line of the table is some model's, and the great families are whole."""
    families: dict[str, list[str]] = defaultdict(list)
    for model_id in every_id():
        families[identify(model_id).family].append(model_id)
    for family, members in sorted(families.items()):
        print(f"{family} ({len(members)})")
        for member in members:
            it = identify(member)
            print(
                f"    {member:60} {it.generation or '':6} {it.size or '':16} {it.edition or '':20} {it.release or ''}"
            )
    print(f"{len(families)} families")
    claude = [it for it in every_id() if it.removeprefix("~").startswith("anthropic/")]
    assert families["anthropic/claude"] == claude
    assert len(families) < len(every_id()) / 3
    # a line that is in no id stands only where all its models have a speciality
    for author, lines in LINES.items():
        found = [family for family in families if family.startswith(f"{author}/")]
        for line in lines:
            assert any(f"{it}-".startswith(f"{author}/{line}-") for it in found) or line == "kimi", f"{author}/{line}"


def test_an_alias_is_in_the_family_of_others() -> None:
    ids = every_id()
    others = {identify(model_id).family for model_id in ids if not model_id.startswith("~")}
    aliases = [model_id for model_id in ids if model_id.startswith("~")]
    assert aliases
    for alias in aliases:
        assert identify(alias).family in others, alias
