"""Intervals drawn as inline SVG on one shared axis; the numbers always stand in a table beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, isfinite, log10

from markupsafe import Markup

_WIDTH, _ROW, _PAD = 320.0, 26.0, 10.0


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from ``low`` to ``high`` (data units) over the drawing's width, with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Horizontal place of ``value``, kept inside the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return _PAD + min(max(share, 0.0), 1.0) * (_WIDTH - 2 * _PAD)


def axis_over(values: list[float], include: tuple[float, ...] = ()) -> Axis:
    """An axis that shows all finite ``values`` and ``include``, with three to six round ticks."""
    finite = [v for v in (*values, *include) if isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / 4)
    first, last = floor(low / step), -floor(-high / step)
    ticks = tuple(round(k * step, 10) for k in range(first, last + 1))
    return Axis(low=ticks[0], high=ticks[-1], ticks=ticks)


def _round_step(rough: float) -> float:
    """The next step of 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= rough * 0.999)


def interval_mark(
    axis: Axis,
    *,
    estimate: float | None,
    interval: tuple[float, float] | None,
    raw: float | None = None,
    planted: float | None = None,
    zero: float | None = None,
) -> Markup:
    """One row's picture: the interval as a line, the estimate as a dot, the raw value as a ring.

    It is hidden from screen readers, because the same numbers stand in the row.
    """
    middle = _ROW / 2
    parts = [
        f'<line class="axis" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{middle}" y2="{middle}" opacity=".25"/>'
    ]
    if zero is not None and axis.low <= zero <= axis.high:
        parts.append(
            f'<line class="zero" x1="{axis.x(zero):.1f}" x2="{axis.x(zero):.1f}" y1="0" y2="{_ROW}"/>'
        )
    if raw is not None:
        parts.append(f'<circle class="raw" cx="{axis.x(raw):.1f}" cy="{middle}" r="4.5"/>')
    if interval is not None:
        low, high = axis.x(interval[0]), axis.x(interval[1])
        parts.append(f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
    if estimate is not None:
        parts.append(f'<circle class="estimate" cx="{axis.x(estimate):.1f}" cy="{middle}" r="4.5"/>')
    if planted is not None:
        x = axis.x(planted)
        parts.append(f'<line class="interval planted" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{_ROW - 4}"/>')
    return _svg(_ROW, "".join(parts))


def step_mark(axis: Axis, before: float, after: float, *, sum_: bool = False) -> Markup:
    """One row of a sum: from where it stood to where it stands; the sum itself as a dot. Hidden from
    screen readers, as the numbers stand in the row."""
    middle = _ROW / 2
    parts = [
        f'<line class="axis" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{middle}" y2="{middle}" opacity=".25"/>'
    ]
    at, to = axis.x(before), axis.x(after)
    if sum_:
        parts.append(f'<circle class="estimate" cx="{to:.1f}" cy="{middle}" r="4.5"/>')
    else:
        parts.append(f'<line class="interval" x1="{at:.1f}" x2="{to:.1f}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<line class="axis" x1="{to:.1f}" x2="{to:.1f}" y1="{middle - 6}" y2="{middle + 6}"/>')
    return _svg(_ROW, "".join(parts))


def effect_chart(
    *, estimate: float | None, interval: tuple[float, float] | None, no_effect: float | None
) -> Markup:
    """One effect on an axis of its own, with ticks below; empty where there is no estimate."""
    if estimate is None:
        return Markup("")
    axis = axis_over([estimate, *(interval or ())], include=() if no_effect is None else (no_effect,))
    middle, floor_ = 14.0, 28.0
    parts = []
    if no_effect is not None:
        x = axis.x(no_effect)
        parts.append(f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{floor_}"/>')
    if interval is not None:
        low, high = axis.x(interval[0]), axis.x(interval[1])
        parts.append(f'<line class="interval" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>')
    parts.append(f'<circle class="estimate" cx="{axis.x(estimate):.1f}" cy="{middle}" r="5"/>')
    parts.append(f'<line class="axis" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="{floor_}" y2="{floor_}"/>')
    parts += [_tick(axis, tick, floor_, floor_ + 5, floor_ + 18) for tick in axis.ticks]
    return _svg(48.0, "".join(parts))


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a diagram; without an interval it is drawn as a ring."""

    x: float
    y: float
    interval: tuple[float, float] | None


def diagonal_chart(dots: tuple[Dot, ...], scale: tuple[float, float]) -> Markup:
    """Points with vertical intervals beside the line y = x, on one scale both ways; empty without points."""
    if not dots:
        return Markup("")
    ends = [end for dot in dots for end in (dot.x, dot.y, *(dot.interval or ()))]
    axis = axis_over([*ends, *scale])
    left, top, side = 34.0, 8.0, 240.0

    def at(value: float) -> float:
        return (value - axis.low) / (axis.high - axis.low) * side

    def x(value: float) -> float:
        return left + at(value)

    def y(value: float) -> float:
        return top + side - at(value)

    parts = [
        f'<line class="zero" x1="{x(axis.low):.1f}" y1="{y(axis.low):.1f}" x2="{x(axis.high):.1f}" '
        f'y2="{y(axis.high):.1f}"/>',
        f'<path class="axis" fill="none" d="M{left:g} {top:g}V{top + side:g}H{left + side:g}"/>',
    ]
    for tick in axis.ticks:
        label = f"{tick:g}".replace("-", "\u2212")
        parts.append(
            f'<text x="{x(tick):.1f}" y="{top + side + 16:g}" text-anchor="middle">{label}</text>'
            f'<text x="{left - 6:g}" y="{y(tick) + 4:.1f}" text-anchor="end">{label}</text>'
        )
    for dot in dots:
        if dot.interval is not None:
            low, high = (y(end) for end in dot.interval)
            across = f'x1="{x(dot.x):.1f}" x2="{x(dot.x):.1f}"'
            parts.append(f'<line class="interval" {across} y1="{low:.1f}" y2="{high:.1f}"/>')
        kind = "estimate" if dot.interval is not None else "raw"
        parts.append(f'<circle class="{kind}" cx="{x(dot.x):.1f}" cy="{y(dot.y):.1f}" r="4.5"/>')
    return _svg(top + side + 22, "".join(parts), width=left + side + 14)


@dataclass(frozen=True, slots=True)
class Moment:
    """A value at a day; ``raw`` is drawn as a ring."""

    day: date
    value: float | None
    interval: tuple[float, float] | None
    raw: float | None


def time_chart(
    axis: Axis, *, days: Sequence[date], moments: Sequence[Moment], marks: Sequence[date]
) -> Markup:
    """Values with intervals over ``days`` (ascending), with numbered vertical ``marks``."""
    left, top, width, height = 40.0, 20.0, 320.0, 130.0
    span = max((days[-1] - days[0]).days, 1)

    def x(day: date) -> float:
        share = (day - days[0]).days / span if len(days) > 1 else 0.5
        return left + 10 + min(max(share, 0.0), 1.0) * (width - 20)

    def y(value: float) -> float:
        share = (value - axis.low) / (axis.high - axis.low)
        return top + height - min(max(share, 0.0), 1.0) * height

    parts = [f'<path class="axis" fill="none" d="M{left:g} {top:g}V{top + height:g}H{left + width:g}"/>']
    for tick in axis.ticks:
        label = f"{tick:g}".replace("-", "\u2212")
        parts.append(f'<text x="{left - 6:g}" y="{y(tick) + 4:.1f}" text-anchor="end">{label}</text>')
    ends = (days[0], days[-1]) if len(days) > 1 else (days[0],)
    for day, anchor in zip(ends, ("start", "end") if len(ends) > 1 else ("middle",), strict=True):
        parts.append(
            f'<text x="{x(day):.1f}" y="{top + height + 16:g}" text-anchor="{anchor}">{day:%Y-%m-%d}</text>'
        )
    for number, day in enumerate(marks, 1):
        place = x(day) if day <= days[-1] else left + width
        parts.append(
            f'<line class="zero" x1="{place:.1f}" x2="{place:.1f}" y1="{top:g}" y2="{top + height:g}"/>'
            f'<text x="{place:.1f}" y="{top - 6:g}" text-anchor="middle">{number}</text>'
        )
    told = [one for one in sorted(moments, key=lambda one: one.day) if one.value is not None]
    line = "L".join(f"{x(one.day):.1f} {y(one.value or 0.0):.1f}" for one in told)
    if len(told) > 1:
        parts.append(f'<path class="line" fill="none" d="M{line}"/>')
    for one in moments:
        if one.raw is not None:
            parts.append(f'<circle class="raw" cx="{x(one.day):.1f}" cy="{y(one.raw):.1f}" r="3.5"/>')
        if one.interval is not None:
            low, high = (y(end) for end in one.interval)
            at = f'x1="{x(one.day):.1f}" x2="{x(one.day):.1f}"'
            parts.append(f'<line class="interval" {at} y1="{low:.1f}" y2="{high:.1f}"/>')
        if one.value is not None:
            parts.append(f'<circle class="estimate" cx="{x(one.day):.1f}" cy="{y(one.value):.1f}" r="4"/>')
    return _svg(top + height + 22, "".join(parts), width=left + width + 14)


def share_bar(share: float) -> Markup:
    """A share of a whole as a bar from 0 to 1; one that counts against is drawn hollow."""
    length = min(abs(share), 1.0) * 100
    kind = "share" if share >= 0 else "share against"
    inside = (
        f'<rect class="whole" width="100" height="8"/><rect class="{kind}" width="{length:.1f}" height="8"/>'
    )
    about = 'viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false"'
    return Markup(f'<svg class="bar" {about}>{inside}</svg>')


def _tick(axis: Axis, tick: float, start: float, end: float, text: float) -> str:
    x = axis.x(tick)
    anchor = "start" if tick == axis.ticks[0] else "end" if tick == axis.ticks[-1] else "middle"
    label = f"{tick:g}".replace("-", "\u2212")
    return (
        f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{start}" y2="{end}"/>'
        f'<text x="{x:.1f}" y="{text}" text-anchor="{anchor}">{label}</text>'
    )


def axis_mark(axis: Axis) -> Markup:
    """The axis itself, for the head of the column of pictures."""
    parts = [_tick(axis, tick, 16.0, 22.0, 12.0) for tick in axis.ticks]
    parts.append(f'<line class="axis" x1="{_PAD}" x2="{_WIDTH - _PAD}" y1="22" y2="22"/>')
    return _svg(24.0, "".join(parts))


def _svg(height: float, inside: str, width: float = _WIDTH) -> Markup:
    box = f'viewBox="0 0 {width:g} {height:g}"'
    # Only numbers of ours are inside, so nothing needs escaping.
    return Markup(f'<svg class="chart" {box} aria-hidden="true" focusable="false">{inside}</svg>')
