"""A bias as pages show it: a picture, a number with its interval and n, and a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from markupsafe import Markup

from app.reporting.bias_report import ToldEffect
from app.web.pages.charts import Axis, axis_mark, axis_over, effect_chart, interval_mark
from app.web.pages.tables import Cell
from app.web.pages.words import Mark, count, interval, number, p_value

EFFECT_MARKS = {
    "identified": Mark("identified", "good", "the data can tell it"),
    "not_identified": Mark("not identified", "unsure", "these data cannot tell it from something else"),
    "insufficient_data": Mark("too little data", "unsure", "more grades are needed"),
}
UNITS = {
    "alpha": "alpha, 1 is perfect",
    "slope": "slope, 1 is even",
    "reliability": "share that repeats",
    "probability": "probability",
    "R²": "share of what varies in people's grades",
}
EFFECT_COLUMNS = (
    *("effect", "status", "estimate", "low", "high", "n", "unit", "no_effect", "p_value", "p_adjusted"),
    *("stands_out", "sentence"),
)


@dataclass(frozen=True, slots=True)
class ExampleView:
    """An answer or a pair that shows a bias; ``about`` names systems and words; ``texts`` are (whose, what),
    those that are known, and may be cut."""

    sentence: str
    item: str
    about: str
    prompt: str | None
    texts: tuple[tuple[str, str], ...]
    href: str


@dataclass(frozen=True, slots=True)
class EffectView:
    """One bias.

    ``flagged``: it stands out among all effects of the report; ``test``: its p-values, None if it has none.
    """

    title: str
    estimate: str
    interval: str
    unit: str
    n: str
    mark: Mark
    identified: bool
    sentence: str
    picture: Markup
    flagged: bool
    test: str | None
    examples: tuple[ExampleView, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Effects of one kind on one axis; ``what`` heads their names, ``name`` is that of the file."""

    name: str
    caption: str
    what: str
    axis: Markup
    rows: tuple[EffectView, ...]


def effect_view(
    told: ToldEffect, title: str, axis: Axis | None = None, examples: tuple[ExampleView, ...] = ()
) -> EffectView:
    """An effect on an axis of its own, or on ``axis``."""
    known = told.estimate is not None and isfinite(told.estimate)
    digits = digits_of(told)
    signed = told.no_effect == 0.0
    if axis is None:
        picture = effect_chart(estimate=told.estimate, interval=told.interval, no_effect=told.no_effect)
    else:
        picture = interval_mark(axis, estimate=told.estimate, interval=told.interval, zero=told.no_effect)
    return EffectView(
        title=title,
        estimate=number(told.estimate, digits, sign=signed),
        interval=interval(told.interval, digits, sign=signed),
        unit=UNITS.get(told.unit or "", told.unit or ""),
        n=count(told.n),
        mark=EFFECT_MARKS[told.status],
        identified=known,
        sentence=told.sentence,
        picture=picture,
        flagged=bool(told.flagged),
        test=_test(told),
        examples=examples,
    )


def group_table(name: str, caption: str, what: str, rows: Sequence[tuple[str, ToldEffect]]) -> GroupTable:
    """Effects by name, on an axis that all of them share."""
    axis = shared_axis([told for _, told in rows])
    return GroupTable(
        name=name,
        caption=caption,
        what=what,
        axis=axis_mark(axis),
        rows=tuple(effect_view(told, title, axis) for title, told in rows),
    )


def shared_axis(effects: Sequence[ToldEffect]) -> Axis:
    """An axis over all intervals and the values of judges without the bias."""
    ends = [end for told in effects for end in told.interval or ()]
    null = {told.no_effect for told in effects if told.no_effect is not None}
    return axis_over(ends, include=tuple(sorted(null)))


def effect_row(told: ToldEffect, name: str | None = None) -> tuple[Cell, ...]:
    """A row of a file with `EFFECT_COLUMNS`."""
    low, high = told.interval or (None, None)
    return (
        *(name or told.name, told.status, told.estimate, low, high, told.n, told.unit, told.no_effect),
        *(told.p_value, told.p_adjusted, told.flagged, told.sentence),
    )


def digits_of(told: ToldEffect) -> int:
    """Decimals to show."""
    return 3 if told.unit in ("probability", "R²") else 2


def _test(told: ToldEffect) -> str | None:
    if told.p_value is None:
        return None
    adjusted = "" if told.p_adjusted is None else f", {p_value(told.p_adjusted)} among all"
    redrawn = "" if told.p_randomisation is None else f", {p_value(told.p_randomisation)} by redrawn orders"
    return f"p {p_value(told.p_value)}{adjusted}{redrawn}"
