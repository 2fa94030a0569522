"""Bounds of corrected means, against brute force over what missing verdicts could have been."""

import itertools

import numpy as np
import pytest

from app.stats.group_quality import group_quality
from app.stats.missing_predictions import Verdicts, corrected_moves
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


LAM = 0.7


def estimate(group, human, prediction):
    return rectified_means(
        group=group, prompt=np.arange(group.size), prediction=prediction, human=human, groups=2, lam=LAM
    ).estimate


def moves(group, values, prediction, human, row, judge, shifts=(-1.0, 1.0), own_share=1.0, slope=0.0):
    said, by = np.nonzero(np.isfinite(values))
    return corrected_moves(
        verdicts=Verdicts(said, by, values[said, by], row, judge, np.full(row.size, 0.3), JUDGES),
        group=group, prediction=prediction, score=prediction, anchor_weight=np.isfinite(human) * 1.0, lam=LAM,
        own_share=np.full(2, own_share), score_slope=slope, shifts=shifts,
    )  # fmt: skip


def test_the_corners_are_the_extremes_over_all_fillings():
    group, values, prediction, human, row, judge = world()
    found = moves(group, values, prediction, human, row, judge)
    reached = []
    for filling in itertools.product((0.0, 0.3, 0.5, 1.0), repeat=row.size):
        full = values.copy()
        full[row, judge] = filling
        reached.append(estimate(group, human, full @ SLOPES + 0.1 * group))
    as_it_is = estimate(group, human, prediction)
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


def test_an_estimate_that_leans_on_others_moves_about_as_one_that_is_made_anew():
    """Six systems with few anchors; more verdicts are missing in the first two, and all would be bad."""
    rng = np.random.default_rng(3)
    systems, each = 6, 60
    group, rows = np.repeat(np.arange(systems), each), systems * each
    quality = np.linspace(0.3, 0.7, systems)[group] + 0.15 * rng.standard_normal(rows)
    values = np.clip(quality[:, None] + 0.15 * rng.standard_normal((rows, JUDGES)), 0, 1)
    silent = (rng.random((rows, JUDGES)) < np.where(group < 2, 0.3, 0.05)[:, None]) & (np.arange(JUDGES) > 0)
    row, judge = np.nonzero(silent)
    human = np.where(rng.random(rows) < 0.2, np.clip(quality + 0.1 * rng.standard_normal(rows), 0, 1), np.nan)
    said = np.where(silent, np.nan, values)

    def score(matrix):
        return np.where(np.isnan(matrix), np.nanmean(matrix, axis=1)[:, None], matrix) @ SLOPES

    about = {"group": group, "prompt": np.arange(rows), "human": human, "groups": systems, "lam_max": np.inf}
    found = group_quality(prediction=score(said), panel_score=score(said), **about)
    assert found.pools
    known, by = np.nonzero(~silent)
    moved = corrected_moves(
        verdicts=Verdicts(known, by, said[known, by], row, judge, np.zeros(row.size), JUDGES), group=group,
        prediction=score(said), score=score(said), anchor_weight=np.isfinite(human) * 1.0,
        lam=found.means.power.lam, own_share=found.own_share, score_slope=found.score_slope, shifts=(),
    )  # fmt: skip
    filled = said.copy()
    filled[row, judge] = 0.0
    anew = (
        group_quality(prediction=score(filled), panel_score=score(filled), **about).estimate - found.estimate
    )
    # the power tuning and the shrinkage are held fixed, and adapt when made anew
    assert (moved.low - 0.02 <= anew).all()
    assert (anew <= moved.high + 0.02).all()
    assert np.abs(anew).max() > 0.005


def test_where_the_panel_has_no_say_nothing_moves():
    group, values, prediction, human, row, judge = world()
    found = moves(group, values, prediction, human, row, judge, own_share=np.nan)
    np.testing.assert_allclose([found.low, found.high], 0.0)
