"""Plan → judgement: what is applied, what is held, and why; pure (design 4.3).

A *held run* applies nothing: the last good catalog stays. A *held value* lets the run through: the old value of that
field stays believed until a second sync confirms the new one. Rules for the run compare the feed with the last applied
one of its scope, rules for values with what is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from llmhive.catalog.diff import Belief, Plan
from llmhive.catalog.feed import Feed, covers, missing
from llmhive.catalog.hold import Doubt, Held, ValueRule, doubts, has_fallen, value_of
from llmhive.catalog.model import Version, instant

RunRule = Literal["empty", "total_count", "unreadable", "repeat", "removal", "repricing", "falling", "context"]
Rule = RunRule | ValueRule
#: Held: not applied. Released: it would be held, but was confirmed. Accepted: it would be held, but a person accepted
#: it. Flagged: applied, and worth knowing.
Outcome = Literal["held", "released", "accepted", "flagged"]
#: What becomes of doubtful values.
Values = Literal["held", "flagged", "ignored"]

_ASKS_AGAIN = "The next sync asks again."
_LOOK = "Look at it with `llmhive show RUN`; if it is right, `llmhive accept RUN` applies it. "
_WAITS = "The old value stays believed until a second sync says the same, or `llmhive accept RUN` applies it."
#: What to do about each rule's findings, or what happens by itself.
ADVICE: dict[Rule, str] = {
    "empty": _ASKS_AGAIN,
    "total_count": _ASKS_AGAIN,
    "unreadable": "The next sync asks again; if it stays so, the records have changed and LLMHive needs an update.",
    "repeat": f"OpenRouter, or something in between, serves an old list. {_ASKS_AGAIN}",
    "removal": f"{_LOOK}What four syncs over 24 hours agree on is believed by itself. The limit is "
    "SYNC_REMOVAL_LIMIT_PERCENT.",
    "repricing": f"{_LOOK}The limit is SYNC_REPRICED_LIMIT_PERCENT.",
    "falling": f"{_LOOK}The limit is SYNC_FALL_LIMIT_PERCENT.",
    "context": f"{_LOOK}The limit is SYNC_CONTEXT_LIMIT_PERCENT.",
    "price_fall": _WAITS,
    "price_rise": _WAITS,
    "price_negative": _WAITS,
    "context_lost": _WAITS,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may happen at once. Beside each, the largest that two years of real steps hold (design 4.3)."""

    removal_percent: float = 10.0  #: of the listed models gone; 6.8, over 90 days 28.9
    removal_percent_per_day: float = 0.25
    repriced_percent: float = 25.0  #: of the listed models with another price; 20.8, over 90 days 46.1
    repriced_percent_per_day: float = 0.5
    percent_at_most: float = 60.0  #: however long the pause
    falling_percent: float = 3.0  #: … whose prompt or completion price fell as below; 0.6, over 60 days 2.0
    context_percent: float = 3.0  #: … without their context length; 0.4
    unreadable_percent: float = 5.0  #: of the records; 0
    repeat_days: float = 7.0  #: how old an answer may be that is served again
    value_fall_percent: float = 90.0  #: one price; falls to zero are more
    value_rise_factor: float = 100.0  #: one price
    #: so many syncs in a row, over so long, that miss the same models are believed
    agreeing_syncs: int = 4
    agreeing_for: timedelta = timedelta(hours=24)
    #: a value that a second sync says so much later is believed
    confirm_after: timedelta = timedelta(minutes=30)

    def removal(self, since_last_applied: timedelta) -> float:
        """The percentage of listed models that may be gone after a pause of that length."""
        return self._grown(self.removal_percent, self.removal_percent_per_day, since_last_applied)

    def repriced(self, since_last_applied: timedelta) -> float:
        """The percentage of listed models that may have another price after a pause of that length."""
        return self._grown(self.repriced_percent, self.repriced_percent_per_day, since_last_applied)

    def _grown(self, percent: float, per_day: float, pause: timedelta) -> float:
        days = max(pause, timedelta(0)) / timedelta(days=1)
        return max(percent, min(percent + per_day * days, self.percent_at_most))


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding of the gate, with its evidence (JSON)."""

    rule: Rule
    outcome: Outcome
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    model_id: str | None = None  #: None: it is about the run as a whole
    field: str | None = None  #: of the model

    @property
    def advice(self) -> str:
        """What to do about it, or what happens by itself."""
        return ADVICE[self.rule]

    def to_json(self) -> dict[str, Any]:
        """As scripts see it; `model_id` is None for a finding about the run as a whole."""
        return {
            "rule": self.rule,
            "outcome": self.outcome,
            "model_id": self.model_id,
            "field": self.field,
            "reason": self.reason,
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Hold:
    """An earlier answer that was held and not yet superseded."""

    at: datetime
    rules: frozenset[str]
    gone: frozenset[str]


@dataclass(frozen=True, slots=True)
class Before:
    """What the gate knows of the time before a feed."""

    at: datetime  #: when the last feed of its scope was fetched that was applied
    listed: Mapping[str, Version]  #: what OpenRouter listed then, by id
    same_body_at: datetime | None = None  #: when this very body was served, if it is not the last one
    holds: Sequence[Hold] = ()  #: held answers of its scope since then, oldest first


@dataclass(frozen=True, slots=True)
class Waiver:
    """What a person accepts."""

    rules: frozenset[str] = frozenset()  #: about the run as a whole
    values: frozenset[tuple[str, str]] = frozenset()  #: model and field
    all_values: bool = False


_NOTHING = Waiver()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a plan."""

    verdicts: tuple[Verdict, ...] = ()
    withheld: Mapping[str, Mapping[str, Held]] = field(default_factory=dict)  #: model → field → what is held back

    @property
    def held(self) -> tuple[Verdict, ...]:
        """The findings that hold."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == "held")

    @property
    def is_held(self) -> bool:
        """Whether nothing of the plan may be applied."""
        return any(verdict.model_id is None for verdict in self.held)

    @property
    def why(self) -> str | None:
        """Why it is held as a whole, in a line; None where it is not."""
        return "; ".join(verdict.reason for verdict in self.held if verdict.model_id is None) or None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about what is held, each advice once."""
        return tuple(dict.fromkeys(verdict.advice for verdict in self.held))


def judge(
    plan: Plan,
    believed: Mapping[str, Belief],
    *,
    at: datetime,
    before: Before | None,
    limits: Limits,
    values: Values = "held",
    waiver: Waiver = _NOTHING,
) -> Judgement:
    """Judge a plan made of a feed fetched `at` that instant.

    `before` is None where there is no predecessor (an empty catalog, a bootstrap's, a backfill): then only the rules
    that need none count. `values` says what becomes of doubtful ones: after belief was moved by hand they are only
    flagged, and while it is pinned they are not looked at.
    """
    verdicts = _without_predecessor(plan.feed, limits)
    withheld: dict[str, dict[str, Held]] = {}
    if before is not None:
        verdicts += _repeated(at, before, limits)
        if plan.feed.rows:
            verdicts += _against(plan.feed, at, before, limits)
    verdicts = [_waived(verdict, waiver) for verdict in verdicts]
    if before is not None and values != "ignored" and not any(verdict.outcome == "held" for verdict in verdicts):
        for record in plan.altered:
            belief = believed[record.id]
            for doubt in doubts(
                belief.version.model,
                record.model,
                fall_percent=limits.value_fall_percent,
                rise_factor=limits.value_rise_factor,
            ):
                held = _held(doubt, value_of(record.model, doubt.field), belief, at)
                verdict = _value_verdict(record.id, doubt, held, at, limits, waiver)
                if values == "flagged":
                    verdict = replace(verdict, outcome="flagged")
                verdicts.append(verdict)
                if verdict.outcome == "held":
                    withheld.setdefault(record.id, {})[doubt.field] = held
    return Judgement(tuple(verdicts), withheld)


def _waived(verdict: Verdict, waiver: Waiver) -> Verdict:
    if verdict.outcome != "held" or verdict.rule not in waiver.rules:
        return verdict
    return Verdict(verdict.rule, "accepted", verdict.reason, verdict.evidence)


def _without_predecessor(feed: Feed, limits: Limits) -> list[Verdict]:
    verdicts = []
    if not feed.rows:
        verdicts.append(Verdict("empty", "held", "the answer lists no model at all", {"rows": 0}))
    if feed.total_count is not None and feed.total_count != feed.rows:
        verdicts.append(
            Verdict(
                "total_count",
                "held",
                f"the answer says it lists {feed.total_count} models, but lists {feed.rows}",
                {"total_count": feed.total_count, "rows": feed.rows},
            )
        )
    if feed.rows and (share := percent(len(feed.unreadable), feed.rows)) > limits.unreadable_percent:
        verdicts.append(
            Verdict(
                "unreadable",
                "held",
                f"{len(feed.unreadable)} of {feed.rows} records ({share:.1f} %) cannot be read; "
                f"the limit is {limits.unreadable_percent:g} %",
                {"unreadable": len(feed.unreadable), "rows": feed.rows, "limit_percent": limits.unreadable_percent},
            )
        )
    return verdicts


def _repeated(at: datetime, before: Before, limits: Limits) -> list[Verdict]:
    if before.same_body_at is None:
        return []
    age = (at - before.same_body_at) / timedelta(days=1)
    what = f"the answer is the one of {before.same_body_at:%Y-%m-%d %H:%M} UTC again, {age:.1f} days old"
    evidence = {"served_before": instant(before.same_body_at), "days": round(age, 2), "limit_days": limits.repeat_days}
    if age > limits.repeat_days:
        return [Verdict("repeat", "held", f"{what}; the limit is {limits.repeat_days:g} days", evidence)]
    return [Verdict("repeat", "flagged", what, evidence)]


def _against(feed: Feed, at: datetime, before: Before, limits: Limits) -> list[Verdict]:
    """How the feed as a whole differs from the last applied one."""
    pairs = [
        (record.id, was.model, record.model)
        for record in feed.records
        if (was := before.listed.get(record.id)) is not None and was is not record.version
    ]
    repriced = [key for key, old, new in pairs if old.pricing != new.pricing]
    fallen = [
        key
        for key, old, new in pairs
        if old.pricing != new.pricing and has_fallen(old, new, fall_percent=limits.value_fall_percent)
    ]
    lost = [key for key, old, new in pairs if old.context_length and not new.context_length]
    whole = sum(covers(feed.scope, version.model) for version in before.listed.values())
    pause = at - before.at
    found = [
        _share("repricing", repriced, whole, limits.repriced(pause), "have another price at once"),
        _share(
            "falling", fallen, whole, limits.falling_percent,
            f"have a price that fell to zero or by more than {limits.value_fall_percent:g} %",
        ),
        _share("context", lost, whole, limits.context_percent, "have lost their context length"),
    ]  # fmt: skip
    removal = _removal(feed, at, before, whole, limits)
    return [verdict for verdict in (removal, *found) if verdict is not None]


def _share(rule: RunRule, models: list[str], whole: int, limit: float, what: str) -> Verdict | None:
    share = percent(len(models), whole)
    if share <= limit:
        return None
    return Verdict(
        rule,
        "held",
        f"{len(models)} of {whole} models ({share:.1f} %) {what}; the limit is {limit:.1f} %",
        {"models": models, "of": whole, "percent": round(share, 2), "limit_percent": round(limit, 2)},
    )


def _removal(feed: Feed, at: datetime, before: Before, whole: int, limits: Limits) -> Verdict | None:
    gone = missing(feed, {model_id: version.model for model_id, version in before.listed.items()})
    limit = limits.removal(at - before.at)
    if percent(len(gone), whole) <= limit:
        return None
    evidence = {
        "gone": gone,
        "active_before": whole,
        "percent": round(percent(len(gone), whole), 2),
        "limit_percent": round(limit, 2),
    }
    what = (
        f"{len(gone)} of {whole} active models ({percent(len(gone), whole):.1f} %) are gone at once; "
        f"the limit is {limit:.1f} %"
    )
    agreeing = _agreeing(gone, whole, at, before.holds, limit, limits)
    if agreeing is not None:
        evidence["agreeing_since"] = instant(agreeing)
        return Verdict(
            "removal", "released", f"{what}, but every sync since {agreeing:%Y-%m-%d %H:%M} UTC agrees", evidence
        )
    return Verdict("removal", "held", what, evidence)


def _agreeing(
    gone: list[str], whole: int, at: datetime, holds: Sequence[Hold], limit: float, limits: Limits
) -> datetime | None:
    """Since when enough syncs over long enough miss these models, held for that alone; None if they do not."""
    run: list[Hold] = []
    for hold in reversed(holds):
        if hold.rules != {"removal"}:
            break
        run.append(hold)
        missed_by_all = frozenset.intersection(*(earlier.gone for earlier in run))
        news = sum(model_id not in missed_by_all for model_id in gone)
        if percent(news, whole) > limit:
            break
        if len(run) + 1 >= limits.agreeing_syncs and at - hold.at >= limits.agreeing_for:
            return hold.at
    return None


def _held(doubt: Doubt, served: Any, belief: Belief, at: datetime) -> Held:
    """The served value as held: since the first sync that said just this."""
    earlier = belief.held.get(doubt.field)
    if earlier is not None and earlier.served == served:
        return Held(served, earlier.since, doubt.rule)
    return Held(served, at, doubt.rule)


_DID: dict[ValueRule, str] = {
    "price_fall": "fell",
    "price_rise": "rose",
    "price_negative": "turned negative,",
    "context_lost": "was lost,",
}


def _value_verdict(model_id: str, doubt: Doubt, held: Held, at: datetime, limits: Limits, waiver: Waiver) -> Verdict:
    name = doubt.field if doubt.unit is None else f"pricing.{doubt.unit}"
    reason = f"{model_id}: {name} {_DID[doubt.rule]} from {_told(doubt.before)} to {_told(doubt.after)}"
    evidence = {"before": doubt.before, "after": doubt.after, "unit": doubt.unit, "since": instant(held.since)}
    outcome: Outcome = "held"
    if waiver.all_values or (model_id, doubt.field) in waiver.values:
        outcome = "accepted"
    elif held.since < at and at - held.since >= limits.confirm_after:
        outcome = "released"
        reason += f", and has been so since {held.since:%Y-%m-%d %H:%M} UTC"
    return Verdict(doubt.rule, outcome, reason, evidence, model_id, doubt.field)


def _told(value: Any) -> str:
    return "unknown" if value is None else str(value)


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0
