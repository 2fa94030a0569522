from datetime import date, timedelta

import numpy as np
import pytest

from app.reporting.periods import PERIODS, periods_of

EPOCH = date(1970, 1, 1)


@pytest.mark.parametrize("name", PERIODS)
def test_a_day_is_in_the_period_that_the_calendar_says(name):
    days = np.random.default_rng(5).integers(0, 40_000, 500).astype(np.int32)
    code, labels = periods_of(days, name)
    assert list(labels) == sorted(labels)
    for day, c in zip(days.tolist(), code, strict=True):
        when = EPOCH + timedelta(days=day)
        week = when - timedelta(days=when.weekday())
        expected = {"day": when.isoformat(), "week": week.isoformat(), "month": when.isoformat()[:7]}
        assert labels[c] == expected[name.removeprefix("period.")]


def test_nothing_has_no_periods():
    code, labels = periods_of(np.zeros(0, np.int32), "period.week")
    assert (len(code), labels) == (0, ())
