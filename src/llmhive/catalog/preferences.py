"""What a request asks of who serves it: OpenRouter's ``provider`` object, and the suffixes of a model's name; pure.

Source: reference 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, Self, get_args

import msgspec

from llmhive.catalog.pricing import exact
from llmhive.errors import UsageError

_JSON = msgspec.json.Encoder(decimal_format="number")
Sort = Literal["price", "throughput", "latency", "exacto"]
#: What may follow any model id of a request without being a row of the catalog: by what it sorts, who else takes part.
SUFFIXES: Mapping[str, tuple[Sort | None, frozenset[str]]] = {
    "floor": ("price", frozenset({"flex"})),
    "nitro": ("throughput", frozenset({"priority", "fast"})),
    "exacto": ("exacto", frozenset()),
    "online": (None, frozenset()),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """The ``provider`` object of a request, as far as it decides who serves it; `of` reads it as JSON has it.

    A name in `order`, `only` or `ignore` is a tag, the beginning of one, or a provider's slug or name. It means all
    variants and regions of it. Endpoints of a service tier it means only in `ignore`, or where it names the tier.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True  #: False: nobody but who is in `order`, where there is one
    quantizations: tuple[str, ...] = ()  #: ``unknown`` is one of them
    zdr: bool = False
    sort: Sort | None = None
    max_price: tuple[tuple[str, Decimal], ...] = ()  #: by unit; tokens: USD per million; request, image: USD for one
    tiers: frozenset[str] = frozenset()  #: service tiers that take part
    notes: tuple[str, ...] = ()  #: what was asked for and cannot be judged

    def __post_init__(self) -> None:
        """Bad values raise `UsageError`; lists become tuples, and `max_price` may be a mapping."""
        for name in _NAMES:
            if (value := getattr(self, name)) != ():
                object.__setattr__(self, name, _read_names(name, value))
        for name in ("allow_fallbacks", "zdr"):
            _read_choice(name, getattr(self, name))
        if self.sort is not None:
            object.__setattr__(self, "sort", _read_sort("sort", self.sort))
        if self.max_price != ():
            limits = _mapping(self.max_price)
            object.__setattr__(self, "max_price", _read_max_price("max_price", limits))
            object.__setattr__(self, "notes", (*self.notes, *_unjudged({"max_price": limits})))

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """OpenRouter's JSON as it is, null for absent; unknown keys and bad values raise `UsageError`."""
        if not isinstance(document, Mapping):
            raise _bad("", document, 'a JSON object such as {"sort": "price"}')
        if unknown := sorted(repr(name) for name in document if name not in _READERS):
            raise UsageError(f"unknown provider preference {', '.join(unknown)}: there are {', '.join(_READERS)}")
        told = {name: value for name, value in document.items() if value is not None}
        read = {name: reader(name, told[name]) for name, reader in _READERS.items() if name in told}
        return cls(**{name: read[name] for name in read if name not in _UNJUDGED}, notes=tuple(_unjudged(told)))

    def with_suffix(self, suffix: str | None) -> Self:
        """The same with what a suffix of the model's name asks for (`split_suffix`); raises `UsageError`."""
        if suffix is None:
            return self
        name = suffix.removeprefix(":")
        if name not in SUFFIXES:
            raise UsageError(f"{suffix!r} is no suffix that routes: there are {', '.join(SUFFIXES)}")
        sort, tiers = SUFFIXES[name]
        if sort is None:
            return replace(self, notes=(*self.notes, "`:online` adds web searches, which are in none of these costs"))
        notes = () if self.sort in {None, sort} else (f"`:{name}` is taken instead of sort {self.sort}",)
        return replace(self, sort=sort, tiers=self.tiers | tiers, notes=(*self.notes, *notes))


def split_suffix(name: str) -> tuple[str, str | None]:
    """A model's name without what tells OpenRouter how to route: ``a/b:floor`` is ``("a/b", "floor")``."""
    base, _, last = name.rpartition(":")
    return (base, last) if base and last in SUFFIXES else (name, None)


# --- reading


_NAMES = ("order", "only", "ignore", "quantizations")
_PRICED = ("prompt", "completion", "request", "image", "audio")


def _read_names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(it, str) and it for it in value):
        raise _bad(name, value, "a list of names")
    return tuple(dict.fromkeys(it.casefold() if name == "quantizations" else it for it in value))


def _read_choice(name: str, value: Any) -> Any:
    choices = ("allow", "deny") if name == "data_collection" else (True, False)
    if type(value) is type(choices[0]) and value in choices:
        return value
    raise _bad(name, value, " or ".join(str(it).lower() for it in choices))


def _read_wish(name: str, value: Any) -> None:
    levels = value.values() if isinstance(value, Mapping) else (value,)
    if any(level is not None and _amount(level) is None for level in levels):
        raise _bad(name, value, "a number, or one for each percentile")


def _read_sort(name: str, value: Any) -> Sort | None:
    by = value.get("by") if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and (
        set(value) - {"by", "partition"} or value.get("partition") not in (None, "model", "none")
    ):
        raise _bad(name, value, "an object of `by` and `partition` (model or none)")
    found: Sort | None = next((known for known in get_args(Sort) if known == by), None)
    if found is None and by is not None:
        raise _bad(name, value, f"one of {', '.join(get_args(Sort))}")
    return found


def _mapping(value: Any) -> Any:
    """Pairs as a mapping; anything else as it is."""
    try:
        return dict(value)
    except (TypeError, ValueError):
        return value


def _read_max_price(name: str, value: Any) -> tuple[tuple[str, Decimal], ...]:
    if not isinstance(value, Mapping):
        raise _bad(name, value, f"an object with prices for {', '.join(_PRICED)}")
    if unknown := [unit for unit in value if unit not in _PRICED]:
        raise _bad(name, unknown[0], f"an object with prices for {', '.join(_PRICED)}")
    limits = {unit: _amount(most) for unit, most in value.items() if most is not None}
    if bad := [unit for unit, limit in limits.items() if limit is None]:
        raise _bad(f"{name}.{bad[0]}", value[bad[0]], "a number of USD")
    return tuple(sorted((unit, limit) for unit, limit in limits.items() if limit is not None and unit != "audio"))


def _amount(value: object) -> Decimal | None:
    if isinstance(value, int) and value.bit_length() > 64:
        return None
    number = exact(repr(value)) if isinstance(value, float) else exact(value)
    return None if number is None or number < 0 else number


def _bad(name: str, value: object, wanted: str) -> UsageError:
    try:
        found = repr(value) if isinstance(value, str) else _JSON.encode(value).decode()
    except (TypeError, ValueError, RecursionError):  # no JSON, too many digits, nested too deeply
        found = f"this {type(value).__name__}"
    return UsageError(
        f"{f'provider preference {name} is' if name else 'provider preferences are'} {wanted}, not {found:.60}"
    )


def _unjudged(told: Mapping[str, Any]) -> Iterable[str]:
    for name, why in _UNJUDGED.items():
        if told.get(name) not in (None, False, "allow"):
            yield f"`{name}`: {why}"
    if (told.get("max_price") or {}).get("audio") is not None:
        yield "`max_price.audio`: what it is a price for is not documented; nobody is left out for it"


#: Keys that are read and decide nothing here, and why
_UNJUDGED = {
    "require_parameters": "the parameters of the request are not known here; nobody is left out for them",
    "data_collection": "who collects data is not known; nobody is left out for it",
    "enforce_distillable_text": "which models allow it is not known; nobody is left out for it",
    "preferred_min_throughput": "a wish that moves endpoints back; it is not taken into account",
    "preferred_max_latency": "a wish that moves endpoints back; it is not taken into account",
}
#: OpenRouter's keys, and how each is read
_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(_NAMES, _read_names),
    **dict.fromkeys(("allow_fallbacks", "zdr", "require_parameters", "enforce_distillable_text"), _read_choice),
    "data_collection": _read_choice,
    "sort": _read_sort,
    "max_price": _read_max_price,
    **dict.fromkeys(("preferred_min_throughput", "preferred_max_latency"), _read_wish),
}
