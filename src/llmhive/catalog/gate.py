"""Plan → judgement: what is applied, what is held, and why; pure (design 4.3).

A *held* run applies nothing: the last good catalog stays. So far only run-level rules are here: an empty answer, one
that lists another number of models than it says, too many unreadable records, and too many models gone at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from llmhive.catalog.diff import Plan

Rule = Literal["empty", "total_count", "unreadable", "removal"]


#: What to do about each rule's findings, or what happens by itself.
ADVICE: dict[Rule, str] = {
    "empty": "The next sync asks again.",
    "total_count": "The next sync asks again.",
    "unreadable": "The next sync asks again; if it stays so, the records have changed and LLMHive needs an update.",
    "removal": "If OpenRouter really removed them, go on syncing: what four syncs over 24 hours agree on is believed. "
    "Or raise SYNC_REMOVAL_LIMIT_PERCENT.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may happen at once. In two years of real steps the largest removal was 8.0 %, over 90 days 28.9 %."""

    removal_percent: float = 10.0
    removal_percent_per_day: float = 0.25
    removal_percent_at_most: float = 60.0
    unreadable_percent: float = 5.0
    #: so many syncs in a row, over so long, that miss the same models are believed
    agreeing_syncs: int = 4
    agreeing_for: timedelta = timedelta(hours=24)

    def removal(self, since_last_applied: timedelta) -> float:
        """The percentage of active models that may be gone after a pause of that length."""
        days = max(since_last_applied, timedelta(0)) / timedelta(days=1)
        return min(self.removal_percent + self.removal_percent_per_day * days, self.removal_percent_at_most)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding of the gate, with its evidence (JSON)."""

    rule: Rule
    outcome: Literal["held", "released"]
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    model_id: str | None = None  #: None: it is about the run as a whole

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
class Judgement:
    """What the gate says of a plan."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def held(self) -> tuple[Verdict, ...]:
        """The findings that hold."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome == "held")

    @property
    def is_held(self) -> bool:
        """Whether nothing of the plan may be applied."""
        return bool(self.held)

    @property
    def why(self) -> str | None:
        """Why it is held, in a line; None where it is not."""
        return "; ".join(verdict.reason for verdict in self.held) or None

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about what is held, each advice once."""
        return tuple(dict.fromkeys(verdict.advice for verdict in self.held))


def judge(
    plan: Plan,
    *,
    at: datetime,
    last_applied: datetime | None,
    holds: Sequence[Hold] = (),
    limits: Limits,
) -> Judgement:
    """Judge a plan.

    `last_applied` is when the last feed of its scope was fetched that was applied, None where there is none (an empty
    catalog, or a bootstrap's): then only the rules that need no predecessor count. `holds` are the held answers of its
    scope since then, oldest first.
    """
    verdicts = _without_predecessor(plan, limits)
    if last_applied is not None and plan.feed.rows and (removal := _removal(plan, at, last_applied, holds, limits)):
        verdicts.append(removal)
    return Judgement(tuple(verdicts))


def _without_predecessor(plan: Plan, limits: Limits) -> list[Verdict]:
    feed = plan.feed
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


def _removal(plan: Plan, at: datetime, last_applied: datetime, holds: Sequence[Hold], limits: Limits) -> Verdict | None:
    gone, before = len(plan.deactivated), plan.active_before
    limit = limits.removal(at - last_applied)
    if percent(gone, before) <= limit:
        return None
    evidence = {
        "gone": list(plan.deactivated),
        "active_before": before,
        "percent": round(percent(gone, before), 2),
        "limit_percent": round(limit, 2),
    }
    what = (
        f"{gone} of {before} active models ({percent(gone, before):.1f} %) are gone at once; the limit is {limit:.1f} %"
    )
    agreeing = _agreeing(plan, at, holds, limit, limits)
    if agreeing is not None:
        evidence["agreeing_since"] = agreeing.isoformat()
        return Verdict(
            "removal", "released", f"{what}, but every sync since {agreeing:%Y-%m-%d %H:%M} UTC agrees", evidence
        )
    return Verdict("removal", "held", what, evidence)


def _agreeing(plan: Plan, at: datetime, holds: Sequence[Hold], limit: float, limits: Limits) -> datetime | None:
    """Since when enough syncs over long enough miss these models, held for that alone; None if they do not."""
    run: list[Hold] = []
    for hold in reversed(holds):
        if hold.rules != {"removal"}:
            break
        run.append(hold)
        missed_by_all = frozenset.intersection(*(earlier.gone for earlier in run))
        news = sum(model_id not in missed_by_all for model_id in plan.deactivated)
        if percent(news, plan.active_before) > limit:
            break
        if len(run) + 1 >= limits.agreeing_syncs and at - hold.at >= limits.agreeing_for:
            return hold.at
    return None


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0
