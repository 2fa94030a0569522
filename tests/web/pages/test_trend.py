"""Charts over time."""

import re
from datetime import date

from app.web.pages.charts import Moment, axis_over, time_chart

DAYS = [date(2026, 11, 2), date(2026, 11, 9), date(2026, 11, 23)]


def chart(moments: list[Moment], marks: list[date]) -> str:
    return str(time_chart(axis_over([3.0, 5.0]), days=DAYS, moments=moments, marks=marks))


def test_values_stand_where_their_days_are_and_marks_are_numbered() -> None:
    drawn = chart(
        [Moment(day, 4.0 + k / 4, (3.5, 4.8), 4.9) for k, day in enumerate(DAYS)],
        [date(2026, 11, 9), date(2026, 12, 24)],
    )
    x = [float(one) for one in re.findall(r'class="estimate" cx="([0-9.]+)"', drawn)]
    assert (x[2] - x[0]) / (x[1] - x[0]) == 3.0  # three weeks to one
    marks = [float(one) for one in re.findall(r'class="zero" x1="([0-9.]+)"', drawn)]
    assert marks[0] == x[1]
    assert marks[1] > x[2]  # what comes after the last day stands at the edge
    assert ">1</text>" in drawn
    assert ">2</text>" in drawn


def test_a_period_without_a_value_leaves_a_gap_in_dots_but_keeps_its_raw_mean() -> None:
    drawn = chart([Moment(DAYS[0], 4.0, (3.5, 4.5), 4.2), Moment(DAYS[1], None, None, 4.6)], [])
    assert drawn.count('class="estimate"') == 1
    assert drawn.count('class="raw"') == 2
    assert '<path class="line"' not in drawn
