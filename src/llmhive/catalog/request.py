"""The body to send to OpenRouter for a shortlist: which models in which order, and who may serve them; pure.

On every path, those to the fallbacks included, only endpoints may be used that qualify. One `provider` object holds for
all models. What OpenRouter can judge itself (price, retention of data, quantization) is said as it is. Where that lets
in an endpoint that does not qualify, endpoints are named: in ``only`` or in ``ignore``, whichever keeps more of them,
then whichever is shorter. A name may mean more than one endpoint, so that one that qualifies may have to be left out;
what it would let in is found out by the rules of `routing`, and whatever does not go together with the models before
it is no fallback. The order in which endpoints are given decides nothing. Source: reference 8, and OpenRouter's OpenAPI
(schemas ChatRequest, ProviderPreferences).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from llmhive.catalog.identity import identify
from llmhive.catalog.need import Need
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import plain
from llmhive.catalog.routing import Candidate, is_meant, refusal

#: Models in one request. The OpenAPI document has no limit, but more are refused: HTTP 400, "'models' array must have 3
#: items or fewer" (coder/xum issue 2963, and a dozen other clients, until autumn 2026).
MOST_MODELS = 3
#: What may stand in `quantizations`: OpenAPI, schema Quantization.
QUANTIZATIONS = frozenset(
    {"int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"}
)  # fmt: skip
#: Capabilities that no parameter of a request asks for: they follow from modalities or prices.
UNASKED = frozenset(
    {"vision", "file_input", "audio_input", "video_input", "image_output", "audio_output", "video_output", "embeddings",
     "rerank", "speech", "transcription", "web_search", "prompt_caching"}
)  # fmt: skip


class Served(NamedTuple):
    """A model of a shortlist, and who serves it."""

    id: str
    offers: tuple[Candidate, ...] | None  #: all that are live; None: not known
    qualifying: frozenset[str]  #: names of those that meet every constraint


class Request(NamedTuple):
    """What to send, and what to know about it."""

    body: dict[str, Any]  #: `model`, `models` and `provider` of a chat request; messages are the caller's
    notes: tuple[str, ...]


def request_of(need: Need, models: Sequence[Served], at: datetime) -> Request:
    """The request for models in the order in which they are to be tried, at least one; at an instant (UTC).

    The first model always stays. Where it cannot be kept apart from what does not qualify, a note says so that begins
    with "OpenRouter cannot be told".
    """
    declared, notes = _declared(need)
    names = _Names(declared, at)
    first = it = _Known(models[0])
    plan = names.plans([first])[0]
    if first.good and not plan.kept[0]:
        it = names.tolerating(first)
        plan = names.plans([it])[0]
        if told := first.called(it.good - first.good):
            notes.append(
                f"OpenRouter cannot be told to leave out {_listed(told)} of {first.id}: {_meaning(told)} others, too, "
                "that qualify"
            )
    used, beyond = [it], []
    for fallback in map(_Known, models[1:]):
        if len(used) == MOST_MODELS:
            beyond.append(fallback.id)
        elif found := _with(fallback, used, plan, names):
            plan = found
            used.append(fallback)
        else:
            notes.append(f"{fallback.id} is no fallback: {_why_not(fallback, used, names)}")
    if beyond:
        are = "is no fallback" if len(beyond) == 1 else "are no fallbacks"
        notes.append(f"{_listed(beyond)} {are}: a request takes {MOST_MODELS} models at most")
    notes += _told_of([first, *used[1:]], plan)
    body: dict[str, Any] = {"model": first.id}
    if len(used) > 1:
        body["models"] = [it.id for it in used]
    if provider := _naming(declared, plan):
        body["provider"] = provider
    return Request(body, tuple(notes))


def _with(fallback: _Known, used: Sequence[_Known], plan: _Plan, names: _Names) -> _Plan | None:
    """The best plan with one more model, at which the models before it lose nobody; None: there is none."""
    for it in names.plans([*used, fallback]):
        if not used[0].is_known and (it.only or it.ignore):
            continue  # whatever is named for others might leave nobody for the first
        if it.spares(plan) and (it.kept[-1] or not fallback.is_known):
            return it
    return None


def _declared(need: Need) -> tuple[dict[str, Any], list[str]]:
    """What can be said without naming an endpoint, and what can not."""
    provider: dict[str, Any] = {}
    notes = []
    if need.providers:
        provider["only"] = list(need.providers)
    if need.exclude_providers:
        provider["ignore"] = list(need.exclude_providers)
    if unknown := [it for it in need.quantizations if it not in QUANTIZATIONS]:
        notes.append(f"`quantizations` is left out, for OpenRouter does not know {', '.join(unknown)}")
    elif need.quantizations:
        provider["quantizations"] = list(need.quantizations)
    if need.zdr:
        provider["zdr"] = True
    if need.max_price_per_million:
        provider["max_price"] = {unit: plain(most) for unit, most in need.max_price_per_million}
    if not UNASKED.issuperset(need.require):
        provider["require_parameters"] = True
    if need.sort is not None:
        provider["sort"] = need.sort
    return provider, notes


def _naming(declared: dict[str, Any], plan: _Plan) -> dict[str, Any]:
    """The same with the names of a plan; its ``only`` is narrower than what was declared."""
    named = {"only": sorted(plan.only), "ignore": sorted([*declared.get("ignore", ()), *plan.ignore])}
    return {name: value for name, value in named.items() if value} | {
        name: value for name, value in declared.items() if not named.get(name)
    }


def _why_not(fallback: _Known, used: Sequence[_Known], names: _Names) -> str:
    """Why a model is not tried after others."""
    first = used[0]
    if fallback.is_known and not fallback.good:
        return "none of its endpoints qualifies"
    if not first.is_known:
        return f"its endpoints would have to be named, and those of {first.id} are not known"
    if not fallback.is_known:
        return "its endpoints are not known, and those of the models before it have to be named"
    if not names.plans([fallback])[0].kept[0]:
        return "its good endpoints cannot be named without letting in others that do not qualify"
    if spoiled := names.spoiled(fallback, used):
        return f"naming its endpoints would let in bad ones of {_listed(it.id for it in spoiled)}"
    return f"leaving out its bad endpoints would leave out good ones of {_listed(it.id for it in used)}"


def _told_of(models: Sequence[_Known], plan: _Plan) -> Iterable[str]:
    for it, kept in zip(models, plan.kept, strict=True):
        if it.is_known and not it.good & kept:
            yield f"no endpoint of {it.id} that qualifies may serve it"
        elif (plan.only or plan.ignore) and (lost := it.called(it.good - kept)):
            yield f"{_listed(lost)} of {it.id} may not serve it: {_meaning(lost)} others, too, that do not qualify"
    if unknown := [it.id for it in models if not it.is_known]:
        yield f"the endpoints of {_listed(unknown)} are not known: OpenRouter's own checks must do"
    if batch := [it.id for it in models if identify(it.id).variant == "batch"]:
        are, them = ("is a batch row", "it") if len(batch) == 1 else ("are batch rows", "them")
        yield f"{_listed(batch)} {are}: OpenRouter refuses {them} in a chat request"


def _meaning(names: Sequence[str]) -> str:
    return "its name means" if len(names) == 1 else "their names mean"


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


# --- what names let in


class _Known:
    """A model, its endpoints by number."""

    nobody: frozenset[int] = frozenset()

    def __init__(self, served: Served, tolerated: frozenset[int] = nobody) -> None:
        self.id, self._served = served.id, served
        self.is_known = served.offers is not None
        self.offers = sorted(served.offers or (), key=lambda it: it.name)
        qualifying = {number for number, it in enumerate(self.offers) if it.name in served.qualifying}
        self.good = frozenset(qualifying) | tolerated
        self.bad = frozenset(range(len(self.offers))) - self.good

    def tolerating(self, others: frozenset[int]) -> _Known:
        """The same with others that may serve, though they do not qualify."""
        return _Known(self._served, others)

    def tag(self, number: int) -> str:
        return self.offers[number].endpoint.tag

    def called(self, numbers: Iterable[int]) -> list[str]:
        return [self.offers[number].name for number in sorted(numbers)]


class _Plan(NamedTuple):
    """Names that let in nobody who does not qualify."""

    only: tuple[str, ...]  #: (): as declared
    ignore: tuple[str, ...]  #: beside what is declared
    kept: tuple[frozenset[int], ...]  #: who is let in, of each model; nobody where its endpoints are not known

    def worth(self) -> tuple[list[int], int]:
        """The more, the better: who is kept, the first models first; then how few names it takes."""
        return [len(it) for it in self.kept], -len(self.only) - len(self.ignore)

    def spares(self, before: _Plan) -> bool:
        """Whether all that another plan keeps is kept."""
        return all(now >= then for now, then in zip(self.kept, before.kept, strict=False))


@dataclass(frozen=True)
class _Named:
    """Names on trial; `only` None: as declared, (): nobody."""

    only: tuple[str, ...] | None
    ignore: tuple[str, ...] = ()


class _Names:
    """What names let in beside what is declared: found once for a name and a model."""

    def __init__(self, declared: dict[str, Any], at: datetime) -> None:
        self._preferences, self._at = Preferences.of(declared), at
        self._found: dict[tuple[str, str | None, str], frozenset[int]] = {}

    def plans(self, models: Sequence[_Known]) -> list[_Plan]:
        """Names for several models that let in only who qualifies, at least one plan, the best first."""
        unnamed = _Named(None)
        if not self._first_bad(models, unnamed):
            plan = self._planned(models, unnamed)
            if all(kept or not it.good for it, kept in zip(models, plan.kept, strict=True)):
                return [plan]
        found = [self._by_only(models)] if all(it.is_known for it in models) else []
        found.append(self._by_ignoring(models))
        return sorted((it for it in found if it is not None), key=_Plan.worth, reverse=True)

    def tolerating(self, it: _Known) -> _Known:
        """A model together with the fewest that have to be let in so that one of those who qualify is."""
        groups = []
        for number in sorted(it.good):
            tag = it.tag(number)
            if number in (meant := self._let_in(it, tag)):
                groups.append(frozenset(b for b in meant & it.bad if number in self._ignored(it, it.tag(b))))
        return it.tolerating(min(groups, key=len, default=it.nobody))

    def spoiled(self, it: _Known, others: Sequence[_Known]) -> list[_Known]:
        """Those of the others that everything which names a good endpoint of a model lets in bad ones of."""
        found: set[str] = set()
        for number in it.good:
            tag = it.tag(number)
            if number in self._let_in(it, tag):
                bad = {other.id for other in others if self._let_in(other, tag) & other.bad}
                if not bad:
                    return []
                found |= bad
        return [other for other in others if other.id in found]

    def _by_ignoring(self, models: Sequence[_Known]) -> _Plan:
        """What is declared, without everyone who does not qualify."""
        named = _Named(None)
        while bad := self._first_bad(models, named):
            named = replace(named, ignore=(*named.ignore, bad[0].tag(bad[1])))
        return self._planned(models, self._least(models, named))

    def _by_only(self, models: Sequence[_Known]) -> _Plan | None:
        """Those who qualify, by their tags; where one means others, too, it or they go, whichever costs less."""
        tags = dict.fromkeys(it.tag(number) for it in models for number in sorted(it.good))
        named = _Named(tuple(tags))
        while bad := self._first_bad(models, named):
            it, number = bad
            fewer = tuple(name for name in named.only or () if number not in self._let_in(it, name))
            ways = replace(named, only=fewer), replace(named, ignore=(*named.ignore, it.tag(number)))
            named = max(ways, key=lambda way: [len(self._admitted(it, way) & it.good) for it in models])
        return self._planned(models, self._least(models, named)) if named.only else None

    def _least(self, models: Sequence[_Known], named: _Named) -> _Named:
        """Without the names that change nothing."""
        admitted = [self._admitted(it, named) for it in models]
        for name in reversed(named.ignore):
            fewer = replace(named, ignore=tuple(it for it in named.ignore if it != name))
            named = fewer if admitted == [self._admitted(it, fewer) for it in models] else named
        for name in reversed(named.only or ()):
            fewer = replace(named, only=tuple(it for it in named.only or () if it != name))
            named = fewer if fewer.only and admitted == [self._admitted(it, fewer) for it in models] else named
        return named

    def _planned(self, models: Sequence[_Known], named: _Named) -> _Plan:
        return _Plan(named.only or (), named.ignore, tuple(self._admitted(it, named) for it in models))

    def _first_bad(self, models: Sequence[_Known], named: _Named) -> tuple[_Known, int] | None:
        for it in models:
            if bad := self._admitted(it, named) & it.bad:
                return it, min(bad)
        return None

    def _admitted(self, it: _Known, named: _Named) -> frozenset[int]:
        """Who may serve a model: `only` admits what each of its names admits, and `ignore` takes away."""
        only = (None,) if named.only is None else named.only
        found = it.nobody.union(*(self._let_in(it, name) for name in only))
        return found.difference(*(self._ignored(it, name) for name in named.ignore))

    def _let_in(self, it: _Known, only: str | None) -> frozenset[int]:
        key = it.id, only, "only"
        if (found := self._found.get(key)) is None:
            asked = self._preferences if only is None else replace(self._preferences, only=(only,))
            found = self._found[key] = frozenset(
                number for number, offer in enumerate(it.offers) if refusal(offer, asked, self._at) is None
            )
        return found

    def _ignored(self, it: _Known, name: str) -> frozenset[int]:
        key = it.id, name, "ignore"
        if (found := self._found.get(key)) is None:
            found = self._found[key] = frozenset(
                number for number, offer in enumerate(it.offers) if is_meant(name, offer, with_tiers=True)
            )
        return found
