"""Bounds of corrected means, against brute force over what missing verdicts could have been."""

import itertools

import numpy as np
import pytest

from app.stats.missing_predictions import corrected_moves
from app.stats.rectifier import rectified_means

JUDGES = 3
SLOPES = np.array([0.5, 0.3, 0.2])


def world(seed=0, rows=24, missing=4):
    """Two groups; predictions are exactly a line of the verdicts, and a few verdicts are missing."""
    rng = np.random.default_rng(seed)
    values = rng.random((rows, JUDGES))
    group = np.arange(rows) % 2
    row, judge = rng.choice(rows, missing, replace=False), rng.integers(0, JUDGES, missing)
    values[row, judge] = np.nan
    filled = np.where(np.isnan(values), np.nanmean(values, axis=1)[:, None], values)
    human = np.where(
        np.arange(rows) < 10, np.clip(filled @ SLOPES + 0.2 * rng.standard_normal(rows), 0, 1), np.nan
    )
    return group, values, filled @ SLOPES + 0.1 * group, human, row, judge


def estimate_with(group, human, lam=0.7):
    def estimate(prediction, _score):
        return rectified_means(
            group=group, prompt=np.arange(group.size), prediction=prediction, human=human, groups=2, lam=lam
        ).estimate

    return estimate


def moves(group, values, prediction, human, row, judge, **more):
    return corrected_moves(
        estimate=estimate_with(group, human), prediction=prediction, score=prediction, values=values,
        group=group, graded=np.isfinite(human), missing_row=row, missing_judge=judge,
        missing_sd=np.full(row.size, 0.3), shifts=more.pop("shifts", (-1.0, 1.0)),
    )  # fmt: skip


def test_the_corners_are_the_extremes_over_all_fillings():
    group, values, prediction, human, row, judge = world()
    found = moves(group, values, prediction, human, row, judge)
    estimate = estimate_with(group, human)
    reached = []
    for filling in itertools.product((0.0, 0.3, 0.5, 1.0), repeat=row.size):
        full = values.copy()
        full[row, judge] = filling
        reached.append(estimate(full @ SLOPES + 0.1 * group, None))
    as_it_is = estimate(prediction, None)
    # the ridge that keeps judges apart moves slopes by about a millionth
    np.testing.assert_allclose(found.low, np.min(reached, axis=0) - as_it_is, atol=1e-4)
    np.testing.assert_allclose(found.high, np.max(reached, axis=0) - as_it_is, atol=1e-4)


def test_a_shift_alike_on_graded_and_other_rows_moves_a_full_sample_nowhere():
    group, values, prediction, human, row, judge = world(rows=40, missing=8)
    everyone = np.where(np.isfinite(human), human, 0.5)
    found = moves(group, values, prediction, everyone, row, judge)
    np.testing.assert_allclose(found.shifted, 0.0, atol=1e-12)
    assert (found.high >= 0).all()
    assert (found.low <= 0).all()


def test_missing_verdicts_on_other_rows_alone_move_it_as_far_as_the_panel_is_trusted():
    group, values, prediction, human, row, judge = world(rows=40, missing=20)
    other = np.isnan(human[row])
    values[row[~other], judge[~other]] = 0.5
    found = moves(group, values, prediction, human, row[other], judge[other], shifts=(0.0, 1.0))
    np.testing.assert_allclose(found.shifted[0], 0.0, atol=1e-12)
    assert (found.shifted[1] > 0).all()
    assert (found.shifted[1] <= found.high + 1e-9).all()


def test_rows_that_no_judge_scored_are_in_too():
    group, values, prediction, human, _, _ = world(missing=0)
    values[20], prediction[20] = np.nan, np.nan
    found = moves(group, values, prediction, human, np.full(3, 20), np.arange(3))
    assert found.high[0] == pytest.approx(
        0.7 * SLOPES.sum() * (1 - np.nanmean(values[group == 0])) / 12, rel=1e-3
    )


def test_judges_that_predict_nothing_move_nothing():
    group, values, _, human, row, judge = world()
    found = moves(group, values, np.full(group.size, 0.4), human, row, judge)
    np.testing.assert_allclose([found.low, found.high], 0.0, atol=1e-12)
