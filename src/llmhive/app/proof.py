"""The proof of a receipt: `Catalog.verify`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmhive.app.costs import Costs
from llmhive.app.openrouter.decode import decode
from llmhive.catalog.cost import WORDS
from llmhive.catalog.feed import Scope
from llmhive.catalog.hold import PRICING
from llmhive.catalog.price import Step, believed_step
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.receipt import Receipt, condition, digest_of
from llmhive.catalog.usage import Usage, shown
from llmhive.errors import BadAnswer, StoreError, UsageError
from llmhive.store import captures


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked of a receipt."""

    what: str  #: digest, price, total, lines, override, body, rest …
    is_right: bool
    detail: str
    is_checked: bool = True  #: False: there is nothing to compare it with, and nothing speaks against it

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "what": self.what,
            "is_right": self.is_right,
            "is_checked": self.is_checked,
            "detail": self.detail,
        }


#: What is computed anew from the usage, the instant and the history.
_COMPUTED = (
    "model", "currency", "usage", "total", "billed", "upstream", "is_byok", "has_fee", "override", "overrides",
)  # fmt: skip
#: What ``price_from`` tells of the capture that first showed a price.
_OF_A_CAPTURE = ("from", "capture", "fetched_at", "scope", "run", "digest")


class Proofs(Costs):
    """Checks receipts with the catalog of a database."""

    def verify(self, receipt: Receipt | Mapping[str, Any]) -> list[Check]:
        """Whether a sealed receipt is right, check by check: its digest, the cost computed anew from the price history,
        and the rates in the raw body that the price was read from. It is a `Receipt`, or its JSON as a mapping.

        Bounds, notes and `incomplete` are of what was known then, and are checked by the digest only. Raises
        `UsageError` for what is no sealed receipt.
        """
        if isinstance(receipt, Receipt):
            if not receipt.is_sealed:
                raise UsageError("This receipt is not sealed: ask for it with cost(…, sealed=True).")
            receipt = receipt.to_json()
        if not isinstance(receipt, Mapping):
            raise UsageError(f"A receipt is a Receipt or its JSON as a mapping, not {shown(receipt)}.")
        if not isinstance(receipt.get("digest"), str) or not isinstance(receipt.get("price_from"), Mapping):
            raise UsageError(
                "This is no sealed receipt: it has no digest. `llmhive cost MODEL … --json` makes one, and "
                "cost(…, sealed=True).to_json()."
            )
        right = _is_sealed(receipt)
        checks = [Check("digest", right, "as sealed" if right else "something was changed after it was sealed")]
        try:
            anew = self._anew(receipt)
        except (UsageError, ValueError, KeyError, TypeError, OverflowError) as error:
            return [*checks, Check("price", False, f"it cannot be computed anew: {error}"[:300])]
        found = anew.to_json()
        for name in _COMPUTED:
            checks.append(_compared(name, receipt.get(name), found[name]))
        checks.append(_lines(receipt.get("lines"), found["lines"]))
        said, is_now = dict(receipt["price_from"]), dict(found["price_from"])
        said["to"] = is_now["to"]  # a price that was open may have ended since
        if said.get("source") == "bootstrap" == is_now["source"]:
            # what is believed of facts begins when they were loaded, what is known of them when they were gathered
            said = is_now
        elif _is_later(said, anew.step):
            # older captures came since and say the same: what the receipt names still holds
            is_now = {**is_now, **{name: said.get(name) for name in _OF_A_CAPTURE}}
        checks.append(_fields("price_from", said, is_now))
        body = self._body(anew.step, is_now)
        return [*checks, body, Check("rest", True, "bounds, notes, incomplete: by the digest only", False)]

    def _anew(self, receipt: Mapping[str, Any]) -> Receipt:
        for name in ("provider", "tier"):
            if not isinstance(receipt.get(name), str | None):
                raise UsageError(f"its {name} is no text")
        at, known_at = _instant(receipt["at"]), receipt.get("known_at")
        if known_at is None and receipt["price_from"].get("source") == "bootstrap":
            known_at = receipt["at"]  # once there is a history, facts are what was believed before it
        return self.cost(
            str(receipt["model"]),
            Usage.of(receipt["usage"]),
            at=at,
            known_at=None if known_at is None else _instant(known_at),
            provider=receipt.get("provider"),
            tier=receipt.get("tier"),
            is_byok=receipt.get("is_byok") is True,
            has_fee=receipt.get("has_fee") is True,
            sealed=True,
        )

    def _body(self, step: Step, source: Mapping[str, Any]) -> Check:
        """Whether the raw body that a price was read from says so; `source` is a receipt's ``price_from``."""
        if source.get("digest") is None:
            return Check("body", True, f"no raw body is kept of a price from the {step.source}", False)
        if step.source != "catalog" or source.get("capture") is None:
            detail = f"no raw body is kept of it; the offer as it is stored has the digest {source['digest']}"
            return Check("body", True, detail, False)
        name = f"the raw body {source['digest']} of capture {source['capture']}"
        try:
            with self._database.read() as connection:
                content = captures.read_body(connection, str(source["digest"]))
                is_of_then = captures.is_fetched(connection, str(source["digest"]), _instant(source["from"]))
            scope: Scope = "text" if source.get("scope") == "text" else "all"
            listed = {it.version.model.id: it.version.model for it in decode(content, scope).records}
        except (StoreError, BadAnswer) as error:
            return Check("body", False, f"{name} cannot be read: {error}"[:300])
        if not is_of_then:
            return Check("body", False, f"{name} was not fetched at {source['from']}")
        model = listed.get(step.model_id)
        served = None if model is None else believed_step(model, step.begin, None, is_active=True, is_bootstrap=False)
        if served is None or served.pricing is None:
            return Check("body", False, f"{name} does not list a price of {step.model_id}")
        assert step.pricing is not None
        told, used = _flat(served.pricing), _flat(step.pricing)
        wrong = sorted(unit for unit in told.keys() | used.keys() if told.get(unit) != used.get(unit))
        # what was held is replaced by what an earlier body lists
        if PRICING in step.held or not set(wrong) - set(step.held):
            but = " but for what was held" * bool(wrong)
            return Check("body", True, f"{name} lists the rates that the recomputed price has{but}")
        return Check("body", False, f"{name} has other rates: {', '.join(wrong)}")


def _is_later(said: Mapping[str, Any], step: Step) -> bool:
    """Whether a receipt names a later capture of the very price that is known to be in force since before."""
    try:
        begin = _instant(said["from"])
    except (KeyError, UsageError, ValueError):
        return False
    return said.get("source") == "catalog" == step.source and step.since is None and step.holds(begin)


def _is_sealed(receipt: Mapping[str, Any]) -> bool:
    try:
        return bool(receipt["digest"] == digest_of(receipt))
    except ValueError:
        return False  # text that is none: JSON could not have held it


def _compared(name: str, said: Any, is_now: Any) -> Check:
    if said == is_now:
        return Check(name, True, "computed anew from the price history")
    return Check(name, False, f"it says {_worded(said)}, it is {_worded(is_now)}")


def _fields(name: str, said: Mapping[str, Any], is_now: Mapping[str, Any]) -> Check:
    """Compared field by field: only what differs is told."""
    if said == is_now:
        return _compared(name, said, is_now)
    wrong = [
        f"{field} {_worded(said.get(field))}, it is {_worded(is_now.get(field))}"
        for field in {**is_now, **said} if (field in said, said.get(field)) != (field in is_now, is_now.get(field))
    ]  # fmt: skip
    return Check(name, False, _cut("; ".join(wrong), 300))


def _lines(said: Any, is_now: list[dict[str, Any]]) -> Check:
    if said == is_now:
        return _compared("lines", said, is_now)
    if not isinstance(said, list) or not all(isinstance(it, dict) for it in said):
        return Check("lines", False, f"it has no list of lines, there are {len(is_now)}")
    if len(said) != len(is_now):
        return Check("lines", False, f"it has {len(said)} lines, there are {len(is_now)}")
    wrong = [
        f"line {number} ({WORDS[new['counted']]}): {key} {_worded(old.get(key))}, it is {_worded(new[key])}"
        for number, (old, new) in enumerate(zip(said, is_now, strict=True), start=1)
        for key in new if old.get(key) != new[key]
    ]  # fmt: skip
    return Check("lines", False, _cut("; ".join(wrong), 300) or "it has more to a line than there is")


def _worded(value: Any) -> str:
    """A value of a receipt in words: an override by when it applies, what is null as none."""
    if value is None or value == []:
        return "none"
    if isinstance(value, Mapping) and isinstance(when := value.get("condition"), Mapping):
        return f"override {_cut(str(value.get('position')), 20)} ({_cut(condition(when), 100)})"
    if isinstance(value, list):
        return _cut(", ".join(map(_worded, value[:9])), 120)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{name} {it}" for name, it in value.items()), 120)
    return _cut(str(value), 120)


def _cut(text: str, at_most: int) -> str:
    return text if len(text) <= at_most else f"{text[:at_most]}…"


def _flat(pricing: Pricing) -> dict[str, object]:
    """Every rate by its unit, those of an override as ``prompt#1`` with its condition."""
    return dict(pricing.rates) | {
        f"{unit}#{number}": (rate, override.conditions)
        for number, override in enumerate(pricing.overrides, start=1)
        for unit, rate in override.rates
    }


def _instant(text: Any) -> datetime:
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone.")
    return found.astimezone(UTC)
