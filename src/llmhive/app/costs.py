"""What a usage costs: `Catalog.cost`, its bounds, and the proof of a receipt.

`library.Catalog` has all of it; prices come from the `PriceBook`, the rule is in `catalog.cost`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from llmhive.app import wiring
from llmhive.app.openrouter.decode import decode
from llmhive.app.pricebook import Known, PriceBook, Subject, meant
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.price import Step
from llmhive.catalog.receipt import Receipt, digest_of
from llmhive.catalog.routing import Bounds, Preferences, bounds
from llmhive.catalog.usage import Usage
from llmhive.errors import Unpriced, UsageError
from llmhive.store import captures, rates
from llmhive.store.database import Database

if TYPE_CHECKING:
    from llmhive.app.bulk.pricing import Summary
    from llmhive.app.bulk.table import Name
    from llmhive.app.bulk.table import Subject as Meant

#: Clocks of two machines may differ by so much.
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked of a receipt."""

    what: str  #: digest, price, total, lines, override, body …
    is_right: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {"what": self.what, "is_right": self.is_right, "detail": self.detail}


class Costs:
    """Prices usages with the catalog of a database; a missing one raises `NotFound`."""

    _database: Database
    _book: PriceBook

    def cost(
        self,
        model: str,
        usage: Usage | Mapping[str, Any],
        *,
        at: datetime | None = None,
        known_at: datetime | None = None,
        provider: str | None = None,
        tier: str | None = None,
        is_byok: bool | None = None,
        has_fee: bool = False,
        bounds: bool | Preferences | Mapping[str, Any] = False,
        sealed: bool = False,
    ) -> Receipt:
        """What a usage costs under the price in force at an instant; without one, now.

        `usage` is a `Usage`, or the ``usage`` object of OpenRouter, OpenAI or Anthropic as it is. `provider` and `tier`
        say who served it and how: its endpoint's price is used where it is known. `known_at` takes the price that this
        catalog believed in at that instant instead (for audits); `at` is then only when the request was.

        `is_byok`: with one's own key (None: as the usage says), `has_fee` when the month's allowance is used up.
        `bounds` adds lowest, expected and highest over the endpoints, under OpenRouter's ``provider`` preferences where
        they are given. `sealed` adds what the price was read from, and a digest, for `verify`.

        Raises `NotFound` of a model never seen, `Unpriced` where there is no known price, `UsageError` for a usage that
        cannot be read and for an instant without a time zone, and `StoreError`.
        """
        known = self._book.known()
        if isinstance(usage, Usage):
            used = usage
        else:
            used = Usage.of(usage)
            if is_byok is None:
                is_byok = _says_byok(usage)
        doubts: tuple[str, ...] = ()
        if known_at is not None:
            at = known_at if at is None else at
            subject, (step, tariffs) = self._believed(known, model, known_at)
        else:
            if at is None:
                at = wiring.now()
            else:
                _check(at)
            subject = known.subjects.get((model, provider, tier)) or self._book.subject(known, model, provider, tier)
            priced = subject.find(at)
            if priced is None:
                raise Unpriced(_why_none(known, subject, at))
            if at > known.settled_until:
                doubts = known.doubts
            step, tariffs = priced
        tariff = tariffs.at(used.prompt, at)
        receipt = Receipt(
            subject.model_id, at, used, step, tariff, tariff.charge(used), bool(is_byok), has_fee, doubts, known_at,
            provider, tier,
        )  # fmt: skip
        if subject.suffix or bounds is not False or sealed:
            receipt = self._added(receipt, subject, bounds, sealed)
        return receipt

    def _believed(self, known: Known, model: str, known_at: datetime) -> tuple[Subject, tuple[Step, Tariffs]]:
        _check(known_at)
        model_id, suffix = meant(known.names, model)
        with self._database.read() as connection:
            step = rates.believed(connection, model_id, known_at)
        if step is None:
            raise Unpriced(f"{model_id}: this catalog believed in no price of it at {_at(known_at)}.")
        subject = Subject(model_id, [step], suffix)
        priced = subject.find(max(step.begin, known_at))
        assert priced is not None
        return subject, priced

    def _added(
        self, receipt: Receipt, subject: Subject, wanted: bool | Preferences | Mapping[str, Any], sealed: bool
    ) -> Receipt:  # fmt: skip
        found: Bounds | None = None
        doubts = receipt.doubts
        if subject.suffix == "online":
            doubts += ("`:online` searches the web with a plugin, whose price is not in the catalog",)
        if wanted is not False:
            if isinstance(wanted, Mapping):
                wanted = Preferences.of(wanted)
            preferences = (wanted if isinstance(wanted, Preferences) else Preferences()).with_suffix(subject.suffix)
            found = self._bounds(receipt, preferences)
        source = None
        if sealed:
            with self._database.read() as connection:
                source = rates.source_of(connection, receipt.step)
        return msgspec.structs.replace(receipt, bounds=found, doubts=doubts, source=source, is_sealed=sealed)

    def _bounds(self, receipt: Receipt, preferences: Preferences) -> Bounds:
        at, usage = receipt.at, receipt.usage
        is_past = receipt.step.end is not None

        def charge(pricing: Any) -> Any:
            try:
                return Tariffs(pricing).at(usage.prompt, at).charge(usage)
            except Unpriced:
                return None

        with self._database.read() as connection:
            candidates = rates.of_offers(connection, receipt.model, at if is_past else None)
        return bounds(candidates, preferences, charge, at)

    # --- files

    def price_file(
        self,
        source: Path,
        target: Path | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        at: datetime | None = None,
        engine: Literal["duckdb", "spark"] = "duckdb",
        master: str | None = None,
        progress: Callable[[str, float | None], None] | None = None,
    ) -> Summary:
        """Price every row of a file of usages, exactly as `cost` does, and write it with what is added to `target`.

        `columns` says which column holds what (``{"prompt": "tokens_in"}``) where that is not recognised by its name;
        `at` prices all rows at one instant. `engine` ``spark`` runs the same statements on the cluster of `master`.
        `progress` is told of each stage, and how much of it is done (None: not known). Raises `UsageError` for a file
        that cannot be read, written or understood, and where the engine is not installed.
        """
        from llmhive.app.bulk.columns import Columns
        from llmhive.app.bulk.pricing import price_file, quiet

        return price_file(
            source, target, Columns(columns or {}, at), _PriceList(self._book), engine=engine, master=master,
            progress=progress or quiet,
        )  # fmt: skip

    # --- receipts

    def verify(self, receipt: Mapping[str, Any]) -> list[Check]:
        """Whether a sealed receipt is right, check by check: its digest, the cost computed anew from the price history,
        and the rates in the raw body that the price was read from.

        Bounds are of endpoints as they were then, and are checked by the digest only. Raises `UsageError` for what is
        no receipt.
        """
        if not isinstance(receipt.get("digest"), str) or not isinstance(receipt.get("price_from"), Mapping):
            raise UsageError("This is no sealed receipt: it has no digest. `llmhive cost MODEL … --json` makes one.")
        right = _is_sealed(receipt)
        checks = [Check("digest", right, "as sealed" if right else "something was changed after it was sealed")]
        try:
            anew = self._anew(receipt)
        except (UsageError, ValueError, KeyError, TypeError, OverflowError) as error:
            return [*checks, Check("price", False, f"it cannot be computed anew: {error}"[:300])]
        found = anew.to_json()
        for name in ("model", "total", "billed", "upstream", "override", "overrides"):
            checks.append(_compared(name, receipt.get(name), found[name]))
        checks.append(_lines(receipt.get("lines"), found["lines"]))
        said, is_now = dict(receipt["price_from"]), found["price_from"]
        said["to"] = is_now["to"]  # a price that was open may have ended since
        checks.append(_compared("price_from", said, is_now))
        return [*checks, self._body(anew)]

    def _anew(self, receipt: Mapping[str, Any]) -> Receipt:
        for name in ("provider", "tier"):
            if not isinstance(receipt.get(name), str | None):
                raise UsageError(f"its {name} is no text")
        return self.cost(
            str(receipt["model"]),
            Usage.of(receipt["usage"]),
            at=_instant(receipt["at"]),
            known_at=None if receipt.get("known_at") is None else _instant(receipt["known_at"]),
            provider=receipt.get("provider"),
            tier=receipt.get("tier"),
            is_byok=receipt.get("is_byok") is True,
            has_fee=receipt.get("has_fee") is True,
            sealed=True,
        )

    def _body(self, receipt: Receipt) -> Check:
        """Whether the raw body that a price was read from says so."""
        source, step = receipt.source or {}, receipt.step
        if source.get("digest") is None:
            return Check("body", True, f"no raw body is kept of a price from the {step.source}")
        if step.source != "catalog" or source.get("capture") is None:
            return Check("body", True, f"the offer as it is stored has the digest {source['digest']}")
        with self._database.read() as connection:
            content = captures.read_body(connection, source["digest"])
        if hashlib.sha256(content).hexdigest() != source["digest"]:
            return Check("body", False, f"the raw body {source['digest']} is damaged")
        listed = {it.version.model.id: it.version.model for it in decode(content, source["scope"]).records}
        model = listed.get(step.model_id)
        if model is None:
            return Check("body", False, f"the raw body {source['digest']} does not list {step.model_id}")
        assert step.pricing is not None
        served, used = dict(model.pricing.rates), dict(step.pricing.rates)
        # what was held is replaced by what an earlier body lists
        held = {note.partition(":")[0].partition(" ")[0] for note in step.notes}
        wrong = sorted(unit for unit in served.keys() | used.keys()
                       if served.get(unit) != used.get(unit) and not held & {unit, "pricing"})  # fmt: skip
        if wrong or (model.pricing.overrides != step.pricing.overrides and not held):
            return Check(
                "body", False, f"the raw body {source['digest']} has other rates: {', '.join(wrong) or 'overrides'}"
            )
        return Check("body", True, f"the raw body {source['digest']} of capture {source['capture']} lists these rates")


def _is_sealed(receipt: Mapping[str, Any]) -> bool:
    try:
        return bool(receipt["digest"] == digest_of(receipt))
    except ValueError:
        return False  # text that is none: JSON could not have held it


def _compared(name: str, said: Any, is_now: Any) -> Check:
    if said == is_now:
        return Check(name, True, "computed anew from the price history")
    return Check(name, False, f"it says {_short(said)}, it is {_short(is_now)}")


def _lines(said: Any, is_now: list[dict[str, Any]]) -> Check:
    if said == is_now or not isinstance(said, list) or not all(isinstance(it, dict) for it in said):
        return _compared("lines", said, is_now)
    if len(said) != len(is_now):
        return Check("lines", False, f"it has {len(said)} lines, there are {len(is_now)}")
    wrong = [
        f"line {number} ({new['counted']}): {key} {_short(old.get(key))}, it is {new[key]}"
        for number, (old, new) in enumerate(zip(said, is_now, strict=True), start=1)
        for key in new if old.get(key) != new[key]
    ]  # fmt: skip
    return Check("lines", False, "; ".join(wrong)[:300] or "it has more to a line than there is")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:120]}…"


class _PriceList:
    """The price book, as files of usages ask it."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book

    @property
    def begins(self) -> datetime | None:
        """When history does."""
        return self._book.known().first

    def resolve(self, names: Iterable[Name]) -> dict[Name, Meant]:
        """What each name means, and what it cost when; of later than now nothing, and of lately with a doubt."""
        from llmhive.app.bulk.table import Subject as Meant

        known = self._book.known()
        asked = {name: (name.model, name.provider, name.tier) for name in names}
        found = self._book.subjects(asked.values())
        meant: dict[Name, Meant] = {}
        for name, key in asked.items():
            it = found[key]
            meant[name] = (
                Meant(None, (), it) if isinstance(it, str) else Meant(it.model_id, self._told(known, it.steps))
            )
        return meant

    def _told(self, known: Known, steps: Iterable[Step]) -> list[Step]:
        found: list[Step] = []
        now = wiring.now() + _AHEAD
        for step in steps:
            if step.end is not None:
                found.append(step)
                continue
            begin, replace = step.begin, msgspec.structs.replace
            if begin < known.settled_until < now:
                found.append(replace(step, end=known.settled_until))
                begin = known.settled_until
            doubts = known.doubts if begin >= known.settled_until else ()
            found.append(replace(step, begin=begin, end=now, incomplete=(*step.incomplete, *doubts)))
            found.append(replace(step, begin=now, pricing=None, why="it is in the future: nothing is known of it yet."))
        return found


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _check(at: datetime) -> None:
    if at.tzinfo is None:
        raise UsageError(f"{at} has no time zone: say which instant is meant, as {at:%Y-%m-%dT%H:%M}Z.")
    if at > wiring.now() + _AHEAD:
        raise UsageError(f"{_at(at)} is in the future: nothing is known of its prices yet.")


def _says_byok(usage: Mapping[str, Any]) -> bool:
    told = (usage, usage.get("usage"), usage.get("data"))
    return any(isinstance(it, Mapping) and it.get("is_byok") is True for it in told)


def _instant(text: Any) -> datetime:
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone.")
    return found.astimezone(UTC)


def _why_none(known: Known, subject: Subject, at: datetime) -> str:
    """Why there is no price of a known model at an instant."""
    model_id, steps = subject.model_id, subject.steps
    if not steps:
        return f"{model_id} has no known price: OpenRouter has not served it to this catalog. Run `llmhive sync`."
    if known.first is not None and at < known.first:
        return (
            f"Nothing is known of {_at(at)}: history begins {_at(known.first)}. "
            "`llmhive backfill PATH` takes in older captures."
        )
    before = [step.end for step in steps if step.end is not None and step.end <= at]
    after = [step.begin for step in steps if step.begin > at]
    told = [f"until {_at(before[-1])}"] if before else []
    told += [f"from {_at(after[0])}"] if after else []
    return f"{model_id} was not listed at {_at(at)}; it was {' and '.join(told)}."
