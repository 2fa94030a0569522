"""Quality over time: one small chart per system or stratum, with the calibrations marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from markupsafe import Markup

from app.reporting.periods import PERIODS
from app.reporting.quality_report import QualityTable
from app.reporting.quality_rows import QualityRow
from app.web.pages.charts import Moment, axis_over, time_chart
from app.web.pages.words import moment

MOST_CHARTS = 24
PERIOD_NAMES = {"period.day": "Day", "period.week": "Week", "period.month": "Month"}


@dataclass(frozen=True, slots=True)
class TrendChart:
    """One group over time; the numbers are in the table below."""

    name: str
    picture: Markup


@dataclass(frozen=True, slots=True)
class Trend:
    """``calibrations`` are those within the time shown, by number, with when they were done."""

    charts: tuple[TrendChart, ...]
    calibrations: tuple[str, ...]
    left_out: int


def trend_of(table: QualityTable, groups: Sequence[str], calibrated: Sequence[datetime]) -> Trend | None:
    """Charts of a table that has a period among its ``groups``; None without one, or without values.

    ``calibrated``: when each calibration of the criterion was done.
    """
    period = next((name for name in groups if name in PERIODS), None)
    rows = [row for row in table.rows if period and row.strata[period]]
    values = [
        v for row in rows for v in (row.raw_mean, row.corrected, *(row.interval or ())) if v is not None
    ]
    if period is None or not values:
        return None
    days = sorted({_start(row, period) for row in rows})
    marks = [one for one in sorted(calibrated) if days[0] <= one.astimezone(UTC).date()]
    by_name: dict[str, list[QualityRow]] = {}
    for row in rows:
        by_name.setdefault(_name(row, period), []).append(row)
    axis = axis_over(values)
    charts = tuple(
        TrendChart(
            name,
            time_chart(
                axis,
                days=days,
                moments=[
                    Moment(_start(row, period), row.corrected, row.interval, row.raw_mean) for row in mine
                ],
                marks=[one.astimezone(UTC).date() for one in marks],
            ),
        )
        for name, mine in sorted(by_name.items())
    )
    return Trend(
        charts=charts[:MOST_CHARTS],
        calibrations=tuple(moment(one) for one in marks),
        left_out=max(len(charts) - MOST_CHARTS, 0),
    )


def _start(row: QualityRow, period: str) -> date:
    value = row.strata[period] or ""
    return date.fromisoformat(value if period != "period.month" else f"{value}-01")


def _name(row: QualityRow, period: str) -> str:
    others = [value or "(none)" for key, value in row.strata.items() if key != period]
    return ", ".join([*([] if row.system is None else [row.system]), *others]) or "Everything"
