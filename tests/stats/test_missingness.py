"""Missing verdicts against brute force on tiny cases and planted truth in simulated worlds."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from app.stats.missingness import others_score, related_to_quality, shifted, worst_case
from app.stats.shares import share_of, shares_by
from benchmarks.missing_verdicts import study


def seats_of(value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, judge and value of every seat of a (rows, judges) table with NaN where a verdict is missing."""
    row, judge = np.indices(value.shape)
    return row.ravel(), judge.ravel(), value.ravel()


def test_shares_of_many_groups_are_those_of_each_alone():
    rng = np.random.default_rng(1)
    group, prompt = rng.integers(0, 4, 300), rng.integers(0, 12, 300)
    hit = rng.random(300) < np.array([0.0, 0.02, 0.3, 1.0])[group]
    cluster = group * 12 + prompt
    many = shares_by(
        hits=np.bincount(cluster, hit, 60), size=np.bincount(cluster, minlength=60),
        group=np.arange(60) // 12, groups=5, level=0.9,
    )  # fmt: skip
    for g in range(4):
        one = share_of(hit[group == g], prompt[group == g], level=0.9)
        found = [getattr(many, name)[g] for name in ("estimate", "low", "high", "n", "prompts", "effective")]
        expected = [one.estimate, one.low, one.high, one.n, one.prompts, one.effective]
        np.testing.assert_allclose(found, expected)
    assert many.n[4] == 0
    assert np.isnan([many.estimate[4], many.low[4], many.high[4]]).all()


def test_a_share_of_one_prompt_has_no_interval():
    one = shares_by(hits=np.array([1.0]), size=np.array([4]), group=np.array([0]), groups=1)
    assert one.estimate[0] == 0.25
    assert np.isnan([one.low[0], one.high[0]]).all()


def test_the_others_are_every_judge_but_ones_own_without_their_severities():
    rng = np.random.default_rng(2)
    value = rng.random((9, 4)) + np.arange(4)
    value[rng.random((9, 4)) < 0.4] = np.nan
    value[0] = [np.nan, 1.0, np.nan, np.nan]
    row, judge, said = seats_of(value)
    found = others_score(row=row, judge=judge, value=said, rows=9, judges=4).reshape(9, 4)
    mean = [np.nanmean(value[:, j]) for j in range(4)]
    for i, j in product(range(9), range(4)):
        others = [value[i, k] - mean[k] for k in range(4) if k != j and np.isfinite(value[i, k])]
        assert found[i, j] == pytest.approx(np.mean(others) if others else np.nan, nan_ok=True)
    assert np.isnan(found[0, 1])


def test_the_difference_is_that_of_least_squares_with_a_mean_per_judge_and_group():
    rng = np.random.default_rng(3)
    s, judges, prompts, groups = 240, 3, 20, 2
    judge, prompt, group = (rng.integers(0, k, s) for k in (judges, prompts, groups))
    missing, others = rng.random(s) < 0.3, rng.normal(size=s) + judge
    others[:20] = np.nan
    found = related_to_quality(
        judge=judge, cluster=group * prompts + prompt, cluster_group=np.arange(40) // prompts,
        missing=missing, others=others, groups=groups, judges=judges,
    )  # fmt: skip
    for g in range(groups):
        rows = np.flatnonzero((group == g) & np.isfinite(others))
        x = np.column_stack([missing[rows], *(judge[rows] == j for j in range(judges))]).astype(float)
        beta, *_ = np.linalg.lstsq(x, others[rows], rcond=None)
        # the clustered sandwich by hand: the missing column with the judges' means taken out
        means = x[:, 1:]
        m = x[:, 0] - means @ np.linalg.lstsq(means, x[:, 0], rcond=None)[0]
        error, total, variance, size = others[rows] - x @ beta, m @ m, 0.0, []
        for p in range(prompts):
            mine = prompt[rows] == p
            size.append(m[mine] @ m[mine])
            variance += (m[mine] @ error[mine] / (1 - size[-1] / total)) ** 2 / total**2
        freedom = sum(size) ** 2 / np.square(size).sum() - 1
        assert found.difference[g] == pytest.approx(beta[0])
        assert found.freedom[g] == pytest.approx(freedom)
        half = found.high[g] - found.difference[g]
        assert half == pytest.approx(t.ppf(0.975, freedom) * np.sqrt(variance), rel=1e-9)
        assert found.n[g] == missing[rows].sum()


def test_a_handful_of_prompts_or_others_that_never_differ_tell_nothing():
    judge, cluster = np.tile([0, 1], 30), np.repeat(np.arange(30), 2)
    missing = np.zeros(60, bool)
    missing[[0, 6, 8]] = True
    ask = {"judge": judge, "cluster": cluster, "cluster_group": np.zeros(30, int), "groups": 1, "judges": 2}
    few = related_to_quality(**ask, missing=missing, others=np.random.default_rng(4).normal(size=60))
    assert np.isnan([few.difference[0], few.low[0], few.p_value[0]]).all()
    assert few.n[0] == 3
    none = related_to_quality(**ask, missing=np.zeros(60, bool), others=np.arange(60.0))
    assert np.isnan(none.difference[0])
    missing[::4] = True
    same = related_to_quality(**ask, missing=missing, others=np.full(60, 0.25))
    assert same.constant[0]
    assert same.difference[0] == pytest.approx(0)
    assert np.isnan([same.low[0], same.high[0], same.p_value[0]]).all()


def filled(value: np.ndarray, by: np.ndarray) -> float:
    """The mean over rows of the mean over judges, had the missing verdicts been ``by``."""
    whole = value.copy()
    whole[np.isnan(value)] = by
    return float(whole.mean(axis=1).mean())


def test_worst_cases_are_the_ends_of_every_way_to_fill_the_holes():
    value = np.array([[0.2, 0.7, np.nan], [0.5, np.nan, np.nan], [np.nan] * 3, [0.1, 0.9, 0.4]])
    raw = np.array([0.45, 0.5, np.nan, 1.4 / 3])
    scored = np.isfinite(value).sum(axis=1)
    group = np.zeros(4, int)
    ways = [filled(value, np.array(ends)) for ends in product((0.0, 0.5, 1.0), repeat=6)]
    as_it_is, low, high = worst_case(group=group, raw=raw, scored=scored, missing=3 - scored, groups=1)
    assert as_it_is[0] == pytest.approx(np.nanmean(raw))
    assert (low[0], high[0]) == (pytest.approx(min(ways)), pytest.approx(max(ways)))


def test_a_shift_moves_what_the_others_said_by_the_judges_own_spread_within_the_scale():
    rng = np.random.default_rng(5)
    value = rng.random((40, 3))
    value[rng.random((40, 3)) < 0.3] = np.nan
    value[0] = np.nan
    scored = np.isfinite(value).sum(axis=1)
    raw = np.array([np.mean(r[np.isfinite(r)]) if np.isfinite(r).any() else np.nan for r in value])
    row, judge = np.nonzero(np.isnan(value))
    sd, base = np.nanstd(value, axis=0)[judge], np.where(scored > 0, raw, np.nanmean(raw))[row]
    ask = {"group": np.zeros(40, int), "raw": raw, "scored": scored, "missing_row": row, "missing_sd": sd}
    for shift in (-1.0, 0.0, 0.5, 5.0):
        expected = filled(value, np.clip(base + shift * sd, 0, 1))
        assert shifted(**ask, groups=1, shift=shift)[0] == pytest.approx(expected)
    assert shifted(**ask, groups=1, shift=0.0)[0] == pytest.approx(np.nanmean(raw))
    _, low, high = worst_case(group=ask["group"], raw=raw, scored=scored, missing=3 - scored, groups=1)
    assert shifted(**ask, groups=1, shift=-100.0)[0] == pytest.approx(low[0])
    assert shifted(**ask, groups=1, shift=100.0)[0] == pytest.approx(high[0])


def test_a_group_whose_rows_were_never_asked_about_has_no_bounds():
    none = worst_case(
        group=np.array([0]), raw=np.array([np.nan]), scored=np.array([0]), missing=np.array([0]), groups=2
    )
    assert np.isnan(none).all()


@pytest.mark.parametrize(("prompts", "rate"), [(40, 0.05), (40, 0.3), (300, 0.02)])
def test_verdicts_that_go_missing_by_chance_are_called_related_as_seldom_as_said(prompts, rate):
    found = study(np.random.default_rng(6), prompts, rate, slope=0.0, worlds=1_000)
    assert found.told > 0.5
    assert 0.02 <= found.rejected <= 0.07  # 0.7% is the noise of a thousand worlds
    assert found.covered == pytest.approx(1 - found.rejected)
    assert 0.92 <= found.rate_covered <= 0.98


def test_verdicts_that_go_missing_on_bad_answers_are_found_and_the_interval_holds_how_much():
    found = study(np.random.default_rng(7), 100, 0.1, slope=-0.5, worlds=600)
    assert found.truth < -0.3
    assert found.rejected > 0.8
    assert 0.92 <= found.covered <= 0.98
