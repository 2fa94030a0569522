import numpy as np
import pytest

from app.stats.errors import InsufficientData
from app.stats.ordinal_check import GradesByBoth, check_ordinal, needs_categories

CUTS = np.array([-4.0, -3.0, -2.0, -0.5])  # most grades are at the top


def graded(rng, *, units=250, severe=0.0, length=0.0):
    """Two people and a judge on a five-point scale; people like length too, by 0.3."""
    quality, words = 1.5 * rng.standard_normal(units), rng.normal(7, 1, units)
    unit = np.repeat(np.arange(units), 3)
    judge = np.tile([True, False, False], units)
    eta = quality[unit] + (0.3 + length * judge) * (words[unit] - 7) - severe * judge
    noise = rng.logistic(size=len(unit))
    value = (eta + noise)[:, None] > CUTS
    return GradesByBoth(value.sum(axis=1) / 4, judge, unit, unit // 3, words[unit])


def test_planted_severity_and_length_are_recovered_and_silence_is_kept():
    rng = np.random.default_rng(1)
    planted = [check_ordinal(graded(rng, severe=0.8, length=0.5)) for _ in range(20)]
    silent = [check_ordinal(graded(rng)) for _ in range(40)]
    assert np.mean([one.severity.estimate for one in planted]) == pytest.approx(0.8, abs=0.15)
    assert np.mean([one.length.estimate for one in planted]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([one.severity.low <= 0.8 <= one.severity.high for one in planted]) >= 0.8
    wrong = [not e.low <= 0 <= e.high for one in silent for e in (one.severity, one.length)]
    assert np.mean(wrong) <= 0.125  # 80 intervals, nominal .05, three Monte Carlo errors


def test_scales_that_are_used_evenly_need_no_check():
    assert not needs_categories(np.repeat(np.arange(5.0), 20))
    assert needs_categories(np.repeat(np.arange(5.0), (2, 2, 10, 26, 60)))
    assert needs_categories(np.repeat([0.0, 1.0], (40, 60)))
    assert not needs_categories(np.random.default_rng(2).random(500))  # no categories at all


def test_without_lengths_only_severity_is_told():
    grades = graded(np.random.default_rng(3), severe=0.8)
    bare = GradesByBoth(
        grades.value, grades.of_judge, grades.unit, grades.prompt, np.full(len(grades.unit), np.nan)
    )
    found = check_ordinal(bare)
    assert found.length is None
    assert found.severity.low > 0


def test_a_category_that_one_side_never_uses_is_put_together_with_its_neighbour():
    grades = graded(np.random.default_rng(4), severe=0.8)
    value = np.where(grades.of_judge & (grades.value == 1), 0.75, grades.value)
    found = check_ordinal(GradesByBoth(value, grades.of_judge, grades.unit, grades.prompt, grades.length))
    assert np.isfinite(found.severity.estimate)
    same = np.where(grades.of_judge, 1.0, grades.value)
    with pytest.raises(InsufficientData):
        check_ordinal(GradesByBoth(same, grades.of_judge, grades.unit, grades.prompt, grades.length))
