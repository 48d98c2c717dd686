"""OpenRouter's token counts, task shares and orders of models → values; pure (reference 5.1 to 5.4).

Row by row: what cannot be read is told and left out, and of its period nothing counts as gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from llmhive.app.openrouter.envelope import UNREADABLE, mended, split
from llmhive.catalog.pricing import exact
from llmhive.catalog.ranking import Count, Counted, Task
from llmhive.errors import BadAnswer

#: The first 50 models and ``other``.
MOST_ROWS = 51

_SLUG = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,19}", re.ASCII)
#: Tokens of all models in a day are 10**13: what is so far beyond is no count, and sums of it would not fit 64 bits.
_LARGEST = 10**16
_YEARS = range(2024, 2200)
_LONGEST_WINDOW = 366
_TEXT = 200
#: So many faults are told one by one.
_TOLD = 20

_JSON = msgspec.json.Decoder(float_hook=Decimal)


class Tasks(NamedTuple):
    """The answer of ``/classifications/task``."""

    as_of: date  #: the last day that counts
    window_days: int
    tasks: tuple[Task, ...]
    faults: tuple[str, ...]
    unreadable: int = 0  #: classifications, of which something may be true that is not known


class _Bad(Exception):
    """This row cannot be read; the text says why."""


class _Meta(msgspec.Struct):
    meta: dict[str, Any]


_META = msgspec.json.Decoder(_Meta)


def tokens(body: bytes, *, asked_from: date, asked_to: date, period: Literal["day", "week"] = "day") -> Counted:
    """Read an answer of ``/datasets/rankings-daily`` to a question for the periods from `asked_from` to `asked_to`.

    A week is dated by its Monday, whatever day of it OpenRouter writes. Raises `BadAnswer` when the body as a whole is
    no such answer.
    """
    listed, meta = _records(body), _meta(body)
    as_of = meta.get("as_of")
    if not isinstance(as_of, str) or not _SLUG.fullmatch(as_of):
        raise BadAnswer("The answer with token counts does not say as of when they are (meta.as_of).")
    faults = [] if meta.get("version") == "v1" else [f"its version is not v1 but {str(meta.get('version'))[:_TEXT]!r}"]
    rows: dict[tuple[date, str], Count] = {}
    bad: set[date] = set()
    is_unsure = False
    for position, raw in enumerate(listed):
        begins = None
        try:
            row = _object(raw)
            begins = _begins(row.get("date"), period)
            if not asked_from <= begins <= asked_to:
                raise _Bad(f"{begins} was not asked for")
            count = Count(begins, _slug(row.get("model_permaslug")), _tokens(row.get("total_tokens")))
            if (begins, count.slug) in rows:
                raise _Bad(f"{count.slug} is listed twice on {begins}; the first row counts")
        except _Bad as why:
            faults.append(f"row {position}: {why}")
            if begins is None:
                is_unsure = True
            else:
                bad.add(begins)
            continue
        rows[begins, count.slug] = count
    sizes = Counter(it.begins for it in rows.values())
    faults += [f"{begins} has {n} rows, more than {MOST_ROWS}" for begins, n in sizes.items() if n > MOST_ROWS]
    return Counted(
        rows=tuple(rows.values()),
        as_of=as_of,
        start=_day(meta.get("start_date")),
        end=_day(meta.get("end_date")),
        faults=_shortened(faults),
        unreadable=len(listed) - len(rows),
        # a row that does not even tell its date may be of any period
        incomplete=frozenset(sizes) | bad if is_unsure else frozenset(bad),
    )


def tasks(body: bytes) -> Tasks:
    """Read an answer of ``/classifications/task``; raises `BadAnswer` when it is none."""
    try:
        answer = mended(body, _JSON)
    except UNREADABLE as error:
        raise BadAnswer(f"The answer is not JSON ({error}); it begins {_beginning(body)!r}.") from error
    data = answer.get("data") if isinstance(answer, dict) else None
    listed = data.get("classifications") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(listed, list):
        raise BadAnswer(f"The answer has no task classifications; it begins {_beginning(body)!r}.")
    as_of, days = _day(data.get("as_of")), data.get("window_days")
    if as_of is None or as_of.year not in _YEARS or type(days) is not int or not 1 <= days <= _LONGEST_WINDOW:
        raise BadAnswer("The answer with task classifications does not say of which days they are.")
    found: dict[str, Task] = {}
    faults: list[str] = []
    for position, record in enumerate(listed):
        try:
            task = _task(record, faults)
            if task.tag in found:
                raise _Bad(f"{task.tag} is listed twice; the first counts")
            found[task.tag] = task
        except _Bad as why:
            faults.append(f"classification {position}: {why}")
    return Tasks(as_of, days, tuple(found.values()), _shortened(faults), unreadable=len(listed) - len(found))


def order(body: bytes) -> tuple[str, ...]:
    """The ids of an answer of ``/models?sort=`` or ``?category=``, in its order; raises `BadAnswer` when it is none."""
    ids: dict[str, None] = {}
    for raw in _records(body):
        try:
            ids[_slug(_object(raw).get("id"))] = None
        except _Bad:
            continue
    return tuple(ids)


# --- the envelope


def _records(body: bytes) -> list[msgspec.Raw]:
    try:
        envelope = split(body)
    except UNREADABLE as error:
        raise BadAnswer(f"The answer is not a list in JSON ({error}); it begins {_beginning(body)!r}.") from error
    if (failure := envelope.failure) is not None:
        said = failure.get("message") if isinstance(failure, dict) else failure
        raise BadAnswer(f"The answer is an error; OpenRouter says {str(said)[:_TEXT]!r}.")
    if envelope.data is None:
        raise BadAnswer("The answer is JSON, but not a list: it has no data.")
    return envelope.data


def _meta(body: bytes) -> dict[str, Any]:
    try:
        return mended(body, _META).meta
    except UNREADABLE as error:
        raise BadAnswer(f"The answer with token counts does not say what they are of: {error}.") from error


def _beginning(body: bytes) -> str:
    return body[:60].decode("utf-8", "replace").strip()


def _shortened(faults: list[str]) -> tuple[str, ...]:
    more = len(faults) - _TOLD
    return (*faults[:_TOLD], f"and {more} more") if more > 0 else tuple(faults)


# --- values


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        record = _JSON.decode(raw)
    except UNREADABLE as error:
        raise _Bad(f"it is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise _Bad("it is not an object")
    return record


def _begins(value: Any, period: str) -> date:
    day = _day(value)
    if day is None:
        raise _Bad(f"its date is none: {str(value)[:40]!r}")
    return day - timedelta(days=day.weekday()) if period == "week" else day


def _day(value: Any) -> date | None:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise _Bad(f"its model is none: {str(value)[:60]!r}")
    return value


def _tokens(value: Any) -> int:
    # OpenRouter writes a string, as 64 bits do not fit into the numbers of every reader
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _WHOLE.fullmatch(text) or int(text) > _LARGEST:
        raise _Bad(f"its tokens are no whole number: {str(value)[:40]!r}")
    return int(text)


def _task(record: Any, faults: list[str]) -> Task:
    if not isinstance(record, dict):
        raise _Bad("it is not an object")
    tag, listed = _slug(record.get("tag")), record.get("models")
    if not isinstance(listed, list):
        raise _Bad(f"{tag} has no list of models")
    return Task(
        tag=tag,
        title=_text(record.get("display_name")) or tag,
        group=_text(record.get("macro_category")) or tag.partition(":")[0],
        request_share=_share(record.get("usage_share")),
        token_share=_share(record.get("token_share")),
        models=tuple(_shares(tag, listed, faults)),
    )


def _shares(tag: str, listed: list[Any], faults: list[str]) -> Iterable[tuple[str, Decimal, Decimal | None]]:
    seen: set[str] = set()
    for row in listed:
        slug = row.get("id") if isinstance(row, dict) else None
        requests = _share(row.get("tag_usage_share")) if isinstance(row, dict) else None
        if not isinstance(slug, str) or not _SLUG.fullmatch(slug) or requests is None:
            faults.append(f"{tag}: a model cannot be read: {str(row)[:80]!r}")
        elif slug in seen:
            faults.append(f"{tag}: {slug} is listed twice; the first counts")
        else:
            seen.add(slug)
            yield slug, requests, _share(row.get("tag_token_share"))


def _share(value: Any) -> Decimal | None:
    share = exact(value) if isinstance(value, Decimal | int) else None
    return share if share is not None and 0 <= share <= 1 else None


def _text(value: Any) -> str | None:
    return value[:_TEXT] if isinstance(value, str) and "\0" not in value else None
