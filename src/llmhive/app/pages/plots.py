"""Figures over time, as plotly takes them: data in, plain dictionaries out; None where there is nothing to draw.

A figure has no colours: `charts.js` lays those of the page on by ``meta.series`` of a trace, and reads aloud what
``layout.meta.summary`` says. Numbers are drawn as floats; what is read on hover is exact. What is unknown is a gap.
"""

from __future__ import annotations

import html
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from llmhive.app import wording
from llmhive.app.pages import words
from llmhive.catalog.pricing import PER_TOKEN, counts_tokens, per_million

Figure = dict[str, Any]
Row = Mapping[str, Any]
#: When, how much, and what is read on hover; None: a gap.
_Point = tuple[datetime, float | None, str | None]

#: Colours there are; further series are told apart by how their line is drawn.
_COLOURS = 8
_DASHES = ("solid", "dash", "dot", "dashdot")
#: Where a price can be read between its changes: so many places over the whole time.
_PLACES = 100
#: How long the health of endpoints is looked back at: what is older is kept by weeks.
HEALTH = timedelta(days=730)
_LEAST_SPAN = timedelta(days=1)


# --- prices


@dataclass(frozen=True, slots=True)
class _Stretch:
    """How long a rate was in force."""

    begin: datetime
    end: datetime  #: excluded; of one still in force the end of the figure
    rate: Decimal | None
    is_open: bool
    is_held: bool
    believed: Decimal | None = None  #: of one that is held: what is believed instead


@dataclass(frozen=True, slots=True)
class _Line:
    """One rate over time: of a unit, and of a condition where it is an override's."""

    unit: str
    condition: str | None  #: in words
    stretches: tuple[_Stretch, ...]
    is_per_token: bool

    @property
    def name(self) -> str:
        name = words.unit_name(self.unit)
        return name if self.condition is None else f"{name} {self.condition}"

    def figure(self, rate: Decimal) -> Decimal:
        """A rate as the axis has it."""
        return per_million(rate) if self.is_per_token else rate

    def told(self, rate: Decimal) -> str:
        return f"{words.usd(self.figure(rate))} {'per million' if self.is_per_token else 'each'}"

    def at(self, instant: datetime) -> _Stretch | None:
        place = bisect_right(self.stretches, instant, key=lambda it: it.begin) - 1
        found = self.stretches[place] if place >= 0 else None
        return found if found is not None and (found.is_open or instant < found.end) else None


def prices(
    rates: Sequence[Row],
    units: Iterable[str] | None = None,
    *,
    as_of: datetime,
    name: str = "this model",
    outputs: Iterable[str] = (),
) -> Figure | None:
    """The prices of `Catalog.history` in steps; those of tokens above, per million, what else is charged below.

    The figure ends at `as_of`: what was served since, nobody saw. `units`: only these. `outputs` are the model's output
    modalities: some count no tokens. An override is dashed, and named by its condition; what is held is dotted, and
    what is believed goes on beside it.
    """
    wanted = None if units is None else set(units)
    rows = [row for row in rates if wanted is None or row["unit"] in wanted]
    if all(row["rate"] is None for row in rows):
        return None
    first = min(words.instant(row["from"]) for row in rows)
    last = max([as_of, *(words.instant(row[end]) for row in rows for end in ("from", "to") if row[end] is not None)])
    lines = _lines(rows, last, is_counted=counts_tokens(outputs))
    panels = [panel for panel in (True, False) if any(line.is_per_token is panel for line in lines)]
    axes = {panel: "y" if place == 0 else "y2" for place, panel in enumerate(panels)}
    series = {unit: place for place, unit in enumerate(dict.fromkeys(line.unit for line in lines))}
    traces, named = [], set[str]()
    for line in lines:
        for is_held in (False, True):
            if trace := _steps(line, is_held=is_held):
                plainly = "solid" if series[line.unit] < _COLOURS else "longdashdot"
                dash = "dot" if is_held else "dash" if line.condition else plainly
                style = _style(series[line.unit], dash, "hv")
                title = _safe(f"{line.name}, held" if is_held else line.name)
                # an override that moved to another position goes on under its name
                about = {"legendgroup": title, "showlegend": title not in named, "yaxis": axes[line.is_per_token]}
                named.add(title)
                traces.append(trace | style | about | {"name": title, "hoverinfo": "skip"})
    for panel in panels:
        traces.append(_read(lines, panel, _places(lines, first, last)) | {"yaxis": axes[panel]})
    titles = {True: "USD per million tokens" if len(panels) == 1 else "USD / M", False: "USD each"}
    layout = _layout(f"Prices of {name}", _price_summary(lines, name), (first, last), titles[panels[0]])
    layout |= {"hovermode": "x", "hoverdistance": -1}
    layout["yaxis"] |= {"rangemode": "tozero", "tickprefix": "$", "exponentformat": "none"}
    if len(panels) == 2:
        layout["yaxis2"] = layout["yaxis"] | {"title": _axis_title(titles[False]), "domain": [0, 0.27], "nticks": 4}
        layout["yaxis"] |= {"domain": [0.4, 1]}
        layout["xaxis"] |= {"anchor": "y2"}
    return {"data": traces, "layout": layout}


def _lines(rows: Iterable[Row], last: datetime, *, is_counted: bool) -> list[_Line]:
    found: dict[str, dict[tuple[int, str | None], list[_Stretch]]] = {}
    for row in rows:
        begin = words.instant(row["from"])
        end = last if row["to"] is None else words.instant(row["to"])
        rate = None if row["rate"] is None else Decimal(row["rate"])
        of_unit = found.setdefault(row["unit"], {})
        condition = None if row["condition"] is None else wording.condition(row["condition"])
        stretches = of_unit.setdefault((row["position"], condition), [])
        if begin < end or row["to"] is None:
            stretches.append(_Stretch(begin, end, rate, row["to"] is None, row["is_held"]))
    return [
        _Line(unit, condition, _with_believed(stretches), is_counted and unit in PER_TOKEN)
        for unit, of_unit in words.in_order(found)
        for (_, condition), stretches in sorted(of_unit.items(), key=lambda it: (it[0][0], it[0][1] or ""))
        if stretches
    ]


def _with_believed(stretches: Iterable[_Stretch]) -> tuple[_Stretch, ...]:
    """In order; what is held knows the rate before it, which goes on."""
    found: list[_Stretch] = []
    for it in sorted(stretches, key=lambda it: it.begin):
        before = found[-1] if found and found[-1].end == it.begin else None
        believed = None if before is None else before.believed if before.is_held else before.rate
        found.append(replace(it, believed=believed) if it.is_held else it)
    return tuple(found)


def _steps(line: _Line, *, is_held: bool) -> Figure | None:
    """The line of what was held, or of what was believed: at each instant the last point before it says the rate."""
    x: list[str] = []
    y: list[float | None] = []
    rates = [
        (it, it.rate if it.is_held is is_held else None if is_held else it.believed) for it in line.stretches
    ]  # fmt: skip
    drawn = [it for it, rate in rates if rate is not None]
    for place, (it, rate) in enumerate((it, rate) for it, rate in rates if rate is not None):
        figure = float(line.figure(rate))
        x.append(_instant(it.begin))
        y.append(figure)
        if place + 1 == len(drawn) or drawn[place + 1].begin != it.end:
            x.append(_instant(it.end))
            y.append(figure)
            if not it.is_open:
                x.append(_instant(it.end))
                y.append(None)
    if not x:
        return None
    mode = {"mode": "lines+markers", "marker": {"symbol": "diamond-open", "size": 8}} if is_held else {"mode": "lines"}
    return {"type": "scatter", "x": x, "y": y, "connectgaps": False, **mode}


def _read(lines: Sequence[_Line], panel: bool, places: Iterable[datetime]) -> Figure:
    """What is read on hover: points that are not seen, each with all prices in force at its instant.

    The steps themselves have points only where a price changes: the nearest one would often name the next price.
    """
    x, y, text = [], [], []
    for at in places:
        found = [(line, it) for line in lines if (it := line.at(at)) is not None]
        known = [line.figure(it.rate) for line, it in found if line.is_per_token is panel and it.rate is not None]
        if known:
            x.append(_instant(at))
            y.append(float(known[0]))
            text.append("<br>".join([words.moment(at), *(_safe(_in_force(*each)) for each in found)]))
    return {
        "type": "scatter", "x": x, "y": y, "customdata": text, "hovertemplate": "%{customdata}<extra></extra>",
        "mode": "markers", "marker": {"opacity": 0}, "showlegend": False, "meta": {"is_hover": True},
    }  # fmt: skip


def _in_force(line: _Line, it: _Stretch) -> str:
    since = f"since {words.day(it.begin)}{'' if it.is_open else f' until {words.day(it.end)}'}"
    if it.is_held:
        each = "per million" if line.is_per_token else "each"
        return f"{line.name}: {_held(line, it)} ({each}, {since})"
    return f"{line.name}: {words.UNKNOWN if it.rate is None else line.told(it.rate)}, {since}"


def _held(line: _Line, it: _Stretch) -> str:
    """What is believed and what is served: ``$0.14 believed; OpenRouter says $0.00, held``."""
    believed, served = (
        words.UNKNOWN if rate is None else words.usd(line.figure(rate)) for rate in (it.believed, it.rate)
    )
    return f"{believed} believed; OpenRouter says {served}, held"


def _places(lines: Iterable[_Line], first: datetime, last: datetime) -> list[datetime]:
    regular = (first + (last - first) * place / _PLACES for place in range(_PLACES + 1))
    changes = (at for line in lines for it in line.stretches for at in (it.begin, it.end))
    return sorted({*regular, *changes})


def _price_summary(lines: Iterable[_Line], name: str) -> str:
    said = []
    for line in [line for line in lines if line.condition is None][:2]:
        newest = line.stretches[-1]
        price = words.UNKNOWN if newest.rate is None else line.told(newest.rate)
        if newest.is_held:
            price = f"{_held(line, newest)}, {'per million' if line.is_per_token else 'each'},"
        since = f"since {words.day(newest.begin)}" if newest.is_open else f"until {words.day(newest.end)}"
        changes = sum(old.rate != new.rate for old, new in pairwise(line.stretches))
        counted = f"{changes or 'no'} change{'' if changes == 1 else 's'}"
        told = f"{counted} since {words.day(line.stretches[0].begin)}"
        said.append(f"{line.name} price of {name}: {price} {since}; {told}.")
    return " ".join(said) or f"Prices of {name} over time."


# --- endpoints


def uptime(health: Sequence[Row], versions: Sequence[Row], *, name: str = "this model") -> Figure | None:
    """The uptime of each endpoint, of `Catalog.endpoint_history`; a gap where it was not offered."""

    def told(row: Row) -> str:
        low = row["uptime_low"]
        lowest = "" if low is None or low == row["uptime"] else f", lowest {words.uptime(low)}"
        return f"{words.uptime(row['uptime'])}{lowest}"

    figure = _by_endpoint(health, versions, "uptime", told, f"Uptime of {name}", "Uptime, %")
    if figure is not None:
        # one percent at least, and no more than there can be
        figure["layout"]["yaxis"] |= {"ticksuffix": " %", "autorangeoptions": {"include": [99, 100], "maxallowed": 100}}
    return figure


def latency(health: Sequence[Row], versions: Sequence[Row] = (), *, name: str = "this model") -> Figure | None:
    """The median latency of each endpoint."""

    def told(row: Row) -> str:
        return f"{row['latency_p50']:,.0f} ms"

    figure = _by_endpoint(health, versions, "latency_p50", told, f"Latency of {name}", "Median latency, ms")
    if figure is not None:
        figure["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return figure


def _by_endpoint(
    health: Sequence[Row], versions: Sequence[Row], fact: str, told: Callable[[Row], str], title: str, axis: str
) -> Figure | None:
    by_key: dict[str, list[Row]] = {}
    for row in health:
        by_key.setdefault(row["key"], []).append(row)
    known = {key: rows for key, rows in by_key.items() if any(row[fact] is not None for row in rows)}
    if not known:
        return None
    gone: dict[str, list[str]] = {}
    for version in versions:
        if not version["is_listed"]:
            gone.setdefault(version["key"], []).append(version["from"])
    providers = Counter(rows[0]["provider"] for rows in known.values())
    traces, said = [], []
    for place, (key, rows) in enumerate(known.items()):
        newest = max(rows, key=lambda row: words.instant(row["at"]))
        provider = newest["provider"] or newest["tag"]
        label = provider if providers[rows[0]["provider"]] == 1 else f"{provider} ({newest['tag']})"
        points: list[_Point] = []
        for row in rows:
            read = None if row[fact] is None else f"{label}: {told(row)}<br>{_when(row)}"
            points.append((words.instant(row["at"]), row[fact], read))
        points += [(words.instant(at), None, None) for at in gone.get(key, ())]
        traces.append(
            _points(points) | _style(place, _DASHES[place // _COLOURS % len(_DASHES)]) | {"name": _safe(label)}
        )
        said.append(f"{label} {words.UNKNOWN if newest[fact] is None else told(newest)}")
    instants = [words.instant(row["at"]) for rows in known.values() for row in rows]
    silent = len(by_key) - len(known)
    summary = f"{title} by endpoint, last known: {'; '.join(said)}."
    if silent:
        summary += f" Of {silent} more endpoint{'' if silent == 1 else 's'} it is unknown."
    return {"data": traces, "layout": _layout(title, summary, (min(instants), max(instants)), axis)}


def _when(row: Row) -> str:
    status = "" if row["status"] is None or row["status"] >= 0 else f", status {row['status']}"
    if row["span"] == "sample":
        return f"{words.moment(row['at'])}{status}"
    samples = f"{words.count(row['samples'])} sample{'' if row['samples'] == 1 else 's'}"
    return f"{row['span']} from {words.day(row['at'])}, {samples}{status}"


# --- rankings


def ranks(history: Sequence[Row], *, name: str = "this model", ranking: str = "leaderboard") -> Figure | None:
    """The place of a model each time a ranking was published, of `Catalog.rank_history`: the first is on top."""
    by_day = {_date_of(row): row for row in history}  # of several with one date the last published counts
    places = [row["rank"] for row in by_day.values() if row["rank"] is not None]
    if not places:
        return None
    points = [(at, row["rank"], None if row["rank"] is None else _rank_told(at, row)) for at, row in by_day.items()]
    last = max(by_day)
    newest = by_day[last]["rank"]
    standing = "not among the ranked" if newest is None else f"rank {newest}"
    summary = (
        f"Rank of {name} in {ranking}: {standing} on {words.day(last)}; best {min(places)}, worst {max(places)} "
        f"since {words.day(min(by_day))}."
    )
    layout = _layout(f"Rank of {name} in {ranking}", summary, (min(by_day), last), "Rank, 1 is the best")
    layout |= {"showlegend": False}
    layout["yaxis"] |= {"autorange": "reversed", "tickformat": "d"}
    if max(places) - min(places) < 10:
        layout["yaxis"] |= {"dtick": 1}
    return {"data": [_points(points) | _style(0, "solid") | {"name": _safe(name)}], "layout": layout}


def _date_of(row: Row) -> datetime:
    try:
        return words.instant(row["as_of"] or row["made_at"])
    except ValueError:
        # OpenRouter dates its figures as it likes
        return words.instant(row["made_at"])


def _rank_told(at: datetime, row: Row) -> str:
    facts = [f"Rank {row['rank']}, {words.day(at)}"]
    if row["tokens"] is not None:
        facts.append(f"{words.count(row['tokens'])} tokens")
    if row["share"] is not None:
        facts.append(f"{words.percent(row['share'])} of tokens")
    if row["score"] is not None:
        facts.append(f"score {row['score']}")
    return "<br>".join(facts)


def shares(history: Row, names: Mapping[str, str] | None = None) -> Figure | None:
    """The shares of the first of a ranking over time, of `Catalog.share_history`; `names` are those of models by id.

    Lines, not areas on each other: an area takes what is unknown for nothing.
    """
    days = [words.instant(day) for day in history["dates"]]
    traces, said = [], []
    for place, model in enumerate(it for it in history["models"] if any(share is not None for share in it["share"])):
        label = (names or {}).get(model["id"]) or model["id"] or model["slug"]
        points: list[_Point] = []
        for day, share, rank in zip(days, model["share"], model["rank"], strict=True):
            ranked = "" if rank is None else f", rank {rank}"
            told = None if share is None else f"{label}: {words.percent(share)}{ranked}"
            points.append((day, None if share is None else float(Decimal(share) * 100), told))
        style = _style(place, _DASHES[place // _COLOURS % len(_DASHES)])
        traces.append(_points(points) | style | {"name": _safe(label)})
        newest = model["share"][-1]
        said.append(f"{label} {'not among them' if newest is None else words.percent(newest)}")
    if not traces:
        return None
    title = f"Shares by {history['name']}"
    summary = f"{title} from {words.day(min(days))} to {words.day(max(days))}, at last: {', '.join(said)}."
    layout = _layout(title, summary, (min(days), max(days)), "Share of tokens, %")
    # wherever one points, the nearest day is read
    layout |= {"hovermode": "x", "hoverdistance": -1}
    layout["xaxis"] |= {"hoverformat": "%Y-%m-%d"}
    layout["yaxis"] |= {"rangemode": "tozero", "ticksuffix": " %"}
    return {"data": traces, "layout": layout}


# --- common to all


def _points(points: Iterable[_Point]) -> Figure:
    """Points joined by lines, but not over a gap; each with what is read on hover."""
    ordered = sorted(points, key=lambda it: it[0])
    return {
        "type": "scatter", "mode": "lines+markers", "marker": {"size": 5}, "connectgaps": False, "cliponaxis": False,
        "x": [_instant(at) for at, _, _ in ordered],
        "y": [figure for _, figure, _ in ordered],
        "customdata": [None if told is None else _safe(told) for _, _, told in ordered],
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip


def _style(series: int, dash: str, shape: str = "linear") -> Figure:
    return {"meta": {"series": series % _COLOURS}, "line": {"shape": shape, "dash": dash}}


def _layout(title: str, summary: str, span: tuple[datetime, datetime], axis: str) -> Figure:
    first, last = span
    # one instant alone is no range
    first = min(first, last - _LEAST_SPAN)
    shown = [_instant(first), _instant(last)]
    return {
        "title": {"text": _safe(title)},
        "xaxis": {
            "type": "date",
            "range": shown,
            "title": _axis_title("Date (UTC)") | {"standoff": 6},
            "hoverformat": "%Y-%m-%d %H:%M",
        },
        "yaxis": {"title": _axis_title(axis)},
        "hovermode": "closest",
        "dragmode": "zoom",
        "showlegend": True,
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "maxheight": 0.3},
        "margin": {"l": 64, "r": 16, "t": 48, "b": 48},
        "meta": {"summary": summary, "from": shown[0], "to": shown[1]},
    }


def _axis_title(text: str) -> Figure:
    return {"text": text, "font": {"size": 12}}


def _instant(at: datetime) -> str:
    """As plotly reads instants: it knows no time zones."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def _safe(text: str) -> str:
    """A text in which plotly finds no markup but our line breaks."""
    return html.escape(text, quote=False).replace("&lt;br&gt;", "<br>")
