"""What a caller asks of a model: what it must be able to do, what it may cost, and what makes one better; pure.

`docs/selection.md` says what each constraint means, and how the parts of a score come about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AnySet
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from llmhive.catalog.cost import PARTS as COST_PARTS
from llmhive.catalog.cost import quantities
from llmhive.catalog.dimension import CATEGORIES
from llmhive.catalog.pricing import canonical, exact, plain
from llmhive.catalog.role import ROLES
from llmhive.catalog.routing import near
from llmhive.catalog.usage import Usage, shown
from llmhive.errors import UsageError

#: What a score is made of, in the order of all weights.
PARTS = ("quality", "price", "speed")
#: Objectives with a name: the weights of `PARTS`.
OBJECTIVES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"quality": (1.0, 0.0, 0.0), "price": (0.0, 1.0, 0.0), "speed": (0.0, 0.0, 1.0), "value": (0.7, 0.3, 0.0)}
)
#: What is left out unless it is asked for.
ALLOWED = ("free", "batch", "router", "alias", "unpriced", "degraded")
#: What a model may be wanted for: OpenRouter's categories, and work as an agent.
TASKS = ("agentic", *CATEGORIES)
_PLAIN = tuple(number for number, part in enumerate(COST_PARTS) if part.name in {"plain", "text", "requests"})
#: A request of a caller who does not tell what theirs are like.
TYPICAL = Usage(prompt=3000, completion=1000)
#: Likewise of one who asks for images: one of them.
PICTURE = Usage(prompt=200, completion=1290, image_output=1290)

MOST_CHOICES = 50
MOST_NAMES = 100
LONGEST_NAME = 200
_MOST_TOKENS = 10**15 - 1
_MOST_DAYS = 36_500
_MOST = 10**9  #: of seconds, tokens a second, USD, weights: beyond it lies no model
_FINEST = -30  #: the last decimal that a price may have

#: A number as Python or JSON has it; a string: its digits.
Price = int | float | Decimal | str


@dataclass(frozen=True, init=False)
class Need:
    """What a caller asks of a model; every field may be left out, and a value that is not known meets no limit.

    It takes sets, lists and mappings, and keeps tuples in order; None is absent; bad values raise `UsageError`. Of a
    role it has all fields that the caller left out. `read` takes JSON, which has the same names and values.
    """

    task: str | None = None  #: one of `TASKS`
    role: str | None = None  #: one of `ROLES`
    of: str | None = None  #: the model that escalation and replacement start from, by any of its names
    require: tuple[str, ...] = ()  #: capabilities or parameters, all of them at one endpoint
    inputs: tuple[str, ...] = ()  #: modalities it must take
    outputs: tuple[str, ...] = ()  #: modalities it must give
    min_context: int | None = None  #: tokens
    min_output: int | None = None  #: tokens
    max_price_per_million: tuple[tuple[str, Decimal], ...] = ()  #: of prompt and completion; USD per million tokens
    providers: tuple[str, ...] = ()  #: only these: tags, slugs or names, as in `Preferences.only`
    exclude_providers: tuple[str, ...] = ()  #: none of these, as in `Preferences.ignore`
    quantizations: tuple[str, ...] = ()  #: one of these; ``unknown`` is one
    zdr: bool = False  #: whether prompts must not be kept
    min_uptime: float | None = None  #: percent
    max_latency: float | None = None  #: seconds to the first token, the median
    min_throughput: float | None = None  #: tokens a second, the median
    models: tuple[str, ...] = ()  #: only these: names, or patterns of ids such as ``anthropic/*``
    exclude: tuple[str, ...] = ()  #: none of these, likewise
    allow: tuple[str, ...] = ()  #: of `ALLOWED`
    lasting_days: int = 0  #: from the catalog's time on, in which it must not expire
    objective: str | tuple[tuple[str, float], ...] | None = None  #: one of `OBJECTIVES`, or weights; None: value
    usage: Usage | None = None  #: a typical request, or the sum of several; None: `TYPICAL`, `PICTURE`
    stick_to: str | None = None  #: the model in use
    margin: float = 0.02  #: by how much another must score better than `stick_to`
    limit: int = 5  #: choices, at most
    #: What follows from the fields, once: of `PARTS`, together 1
    weights: tuple[float, float, float] = field(init=False, compare=False, repr=False)
    #: how OpenRouter is to pick an endpoint: the cheapest, the fastest first; None: by its own weights
    sort: Literal["price", "throughput"] | None = field(init=False, compare=False, repr=False)
    typical: Usage = field(init=False, compare=False, repr=False)  #: `usage`, or what stands for it
    quantities: tuple[int, ...] = field(init=False, compare=False, repr=False)  #: of `cost.PARTS`, of `typical`
    #: whether it has tokens in, tokens out and requests alone
    is_plain: bool = field(init=False, compare=False, repr=False)
    tokens: int = field(init=False, compare=False, repr=False)  #: in and out, of `typical`
    each: tuple[int, int] = field(init=False, compare=False, repr=False)  #: tokens in and out of one request

    def __init__(
        self,
        task: str | None = None,
        role: str | None = None,
        of: str | None = None,
        require: Collection[str] = (),
        inputs: Collection[str] = (),
        outputs: Collection[str] = (),
        min_context: int | None = None,
        min_output: int | None = None,
        max_price_per_million: Mapping[str, Price] | tuple[tuple[str, Decimal], ...] = (),
        providers: Collection[str] = (),
        exclude_providers: Collection[str] = (),
        quantizations: Collection[str] = (),
        zdr: bool = False,
        min_uptime: float | None = None,
        max_latency: float | None = None,
        min_throughput: float | None = None,
        models: Collection[str] = (),
        exclude: Collection[str] = (),
        allow: Collection[str] = (),
        lasting_days: int | None = None,
        objective: str | Mapping[str, float] | tuple[tuple[str, float], ...] | None = None,
        usage: Usage | Mapping[str, Any] | None = None,
        stick_to: str | None = None,
        margin: float = 0.02,
        limit: int = 5,
    ) -> None:
        told = dict(locals())
        del told["self"]
        self._keep({name: value for name, value in told.items() if value is not None and value != ()})

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Need:
        """A need as JSON has it; unknown keys raise `UsageError`, too."""
        if not isinstance(document, Mapping):
            raise UsageError(f'a need is an object such as {{"task": "programming"}}, not {shown(document)}')
        for name in document:
            if name not in _READERS:
                _unknown(f"a need has no {shown(name)}", name, _READERS, "it has")
        need = cls.__new__(cls)
        need._keep({name: value for name, value in document.items() if value is not None})
        return need

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as `read` takes it; prices are decimal strings."""
        fills = {} if self.role is None else _FILLS[self.role]
        told = {name: getattr(self, name) for name in _READERS}
        return {
            name: _plain(name, value)
            for name, value in told.items()
            # what the role would fill is told where the caller told otherwise
            if value != _DEFAULTS[name] or (name in fills and name != "require" and value != fills[name])
        }

    def _keep(self, told: Mapping[str, Any]) -> None:
        read = _DEFAULTS | {name: _READERS[name](name, value) for name, value in told.items()}
        _fill(read, told)
        usage: Usage = read["usage"] or (PICTURE if "image" in read["outputs"] else TYPICAL)
        weights = _weights(read["objective"])
        # past the lock of a frozen value, all at once
        vars(self).update(
            read,
            weights=weights,
            sort=_sort(*weights),
            typical=usage,
            quantities=(counts := quantities(usage)),
            is_plain=sum(counts) == sum(counts[part] for part in _PLAIN),
            tokens=usage.prompt + usage.completion,
            each=(usage.prompt // usage.requests, usage.completion // usage.requests),
        )


def _fill(read: dict[str, Any], told: Mapping[str, Any]) -> None:
    """Put what the role says where the caller says nothing."""
    role = read["role"]
    needs_of = role is not None and ROLES[role].needs_of
    if needs_of and read["of"] is None:
        raise UsageError(f"the role {role} starts from a model: name it by of, such as openai/gpt-4o")
    if not needs_of and read["of"] is not None:
        words = " and ".join(name for name, it in ROLES.items() if it.needs_of)
        raise UsageError(f"of is the model that the roles {words} start from: ask for one of them, or leave of out")
    if role is not None:
        for name, value in _FILLS[role].items():
            if name == "require":
                read[name] = _READERS[name](name, {*read[name], *value})
            elif name not in told:
                read[name] = value


def _weights(objective: str | tuple[tuple[str, float], ...] | None) -> tuple[float, float, float]:
    if objective is None or isinstance(objective, str):
        return OBJECTIVES[objective or "value"]
    told = dict(objective)
    quality, price, speed = (told.get(part, 0.0) for part in PARTS)
    whole = quality + price + speed
    return quality / whole, price / whole, speed / whole


def _sort(by_quality: float, by_price: float, by_speed: float) -> Literal["price", "throughput"] | None:
    if by_speed > 0 and by_speed >= by_price:
        return "throughput"
    return "price" if by_quality == 0 and by_speed == 0 else None


def _plain(name: str, value: Any) -> Any:
    if name == "usage":
        return value.to_json()
    if name == "max_price_per_million":
        return {unit: plain(most) for unit, most in value}
    if isinstance(value, tuple):
        return dict(value) if name == "objective" else list(value)
    return value


# --- reading


def _read_text(name: str, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_NAME:
        _refuse(name, value, f"a name of 1 to {LONGEST_NAME} characters")
    return text


def _one_of(words: Collection[str]) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        word = _read_word(name, value)
        if word not in words:
            _unknown(f"{name} {shown(value)} is not known", word, words, "there are")
        return word

    return read


def _names(of_one: Callable[[str, Any], str]) -> Callable[[str, Any], tuple[str, ...]]:
    def read(name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            raise UsageError(f"{name} is a list of names, not one: write [{shown(value)}]")
        if not isinstance(value, list | tuple | AnySet):
            _refuse(name, value, "a list of names")
        if len(value) > MOST_NAMES:
            raise UsageError(f"{name} has {len(value):,} names, and may have {MOST_NAMES}")
        return tuple(sorted({of_one(name, it) for it in value}))

    return read


def _read_word(name: str, value: Any) -> str:
    # lower case first: it may be longer
    return _read_text(name, value.lower() if isinstance(value, str) else value)


def _read_pattern(name: str, value: Any) -> str:
    """A name as it is written; a pattern is of ids, and those are in lower case."""
    return (
        re.sub(r"\*+", "*", _read_word(name, value))
        if isinstance(value, str) and "*" in value
        else _read_text(name, value)
    )


def _read_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(name, value, "true or false")
    return value


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if type(value) is int and least <= value <= most:
            return value
        _refuse(name, value, f"a whole number from {least:,} to {most:,}")

    return read


def _number(most: float) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        # comparing refuses NaN and what is not finite, before anything is converted
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value) + 0.0
        _refuse(name, value, f"a number from 0 to {most:,}")

    return read


def _read_prices(name: str, value: Any) -> tuple[tuple[str, Decimal], ...]:
    limits = {}
    for unit, most in _pairs(name, value, ("prompt", "completion")).items():
        number = exact(repr(float(most))) if isinstance(most, float) else None if _is_huge(most) else exact(most)
        if number is None or not 0 <= number <= _MOST or _is_too_fine(number := canonical(number)):
            _refuse(f"{name}.{unit}", most, f"a number of USD from 0 to {_MOST:,}, of at most {-_FINEST} decimals")
        limits[unit] = number
    return tuple(sorted(limits.items()))


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() > 64


def _is_too_fine(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return not isinstance(exponent, int) or exponent < _FINEST


def _read_objective(name: str, value: Any) -> str | tuple[tuple[str, float], ...]:
    if isinstance(value, str):
        return _one_of(OBJECTIVES)(name, value)
    of_one = _number(_MOST)
    read = {part: of_one(f"{name}.{part}", weight) for part, weight in _pairs(name, value, PARTS).items()}
    weights = tuple((part, weight) for part, weight in sorted(read.items()) if weight)
    if not weights:
        raise UsageError(f"{name} weighs nothing: one of {', '.join(PARTS)} must be more than 0")
    return weights


def _pairs(name: str, value: Any, known: Collection[str]) -> Mapping[str, Any]:
    """A mapping, or its pairs as a need keeps them, without what is null."""
    wanted = f"an object of {', '.join(known)}" + (f", or one of {', '.join(OBJECTIVES)}" if known is PARTS else "")
    if not isinstance(value, Mapping):
        if not isinstance(value, tuple) or not all(
            isinstance(it, tuple) and len(it) == 2 and isinstance(it[0], str) for it in value
        ):
            _refuse(name, value, wanted)
        value = dict(value)
    for key in value:
        if key not in known:
            _unknown(f"{name} has no {shown(key)}", key, known, "it is of")
    return {key: it for key, it in value.items() if it is not None}


def _read_usage(name: str, value: Any) -> Usage:
    if not isinstance(value, Usage | Mapping):
        _refuse(name, value, 'an object such as {"prompt": 3000, "completion": 1000}')
    usage = Usage.of(value)
    if not usage.requests or not usage.prompt + usage.completion:
        raise UsageError(f"{name} is that of one request or more, and of one token or more: there is nothing to price")
    return usage


def _unknown(what: str, name: object, known: Collection[str], lead: str) -> NoReturn:
    meant = near(name, known) if isinstance(name, str) and len(name) <= LONGEST_NAME else ""
    raise UsageError(f"{what}{meant}; {lead} {', '.join(known)}")


def _refuse(name: str, value: object, wanted: str) -> NoReturn:
    raise UsageError(f"{name} is {wanted}, not {shown(value)}")


_read_names, _read_words, _read_patterns = (_names(it) for it in (_read_text, _read_word, _read_pattern))
#: The fields, and how each is read
_READERS: dict[str, Callable[[str, Any], Any]] = {
    "task": _one_of(TASKS),
    "role": _one_of(ROLES),
    "of": _read_text,
    "require": _read_words,
    "inputs": _read_words,
    "outputs": _read_words,
    "min_context": _whole(0, _MOST_TOKENS),
    "min_output": _whole(0, _MOST_TOKENS),
    "max_price_per_million": _read_prices,
    "providers": _read_names,
    "exclude_providers": _read_names,
    "quantizations": _read_words,
    "zdr": _read_flag,
    "min_uptime": _number(100),
    "max_latency": _number(_MOST),
    "min_throughput": _number(_MOST),
    "models": _read_patterns,
    "exclude": _read_patterns,
    "allow": _names(_one_of(ALLOWED)),
    "lasting_days": _whole(0, _MOST_DAYS),
    "objective": _read_objective,
    "usage": _read_usage,
    "stick_to": _read_text,
    "margin": _number(1),
    "limit": _whole(1, MOST_CHOICES),
}
_DEFAULTS: dict[str, Any] = {name: Need.__dataclass_fields__[name].default for name in _READERS}
#: What a role fills, as it is read
_FILLS = {
    role: {name: _READERS[name](name, value) for name, value in it.defaults.items()} for role, it in ROLES.items()
}
