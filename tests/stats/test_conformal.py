"""Conformal quantiles count units, not grades."""

import numpy as np
import pytest

from app.stats.conformal import conformal_quantile


def test_nineteen_units_are_the_least_at_95_percent() -> None:
    residual = np.arange(19.0)
    assert conformal_quantile(residual=residual, unit=np.arange(19), level=0.95) == 18.0
    assert conformal_quantile(residual=residual[:18], unit=np.arange(18), level=0.95) is None


def test_with_one_grade_each_it_is_the_split_conformal_order_statistic() -> None:
    residual = np.random.default_rng(0).permutation(200).astype(float)
    found = conformal_quantile(residual=residual, unit=np.arange(200), level=0.9)
    assert found == np.sort(residual)[int(np.ceil(201 * 0.9)) - 1]


def test_a_unit_with_many_grades_counts_once() -> None:
    residual = np.concatenate([np.full(500, 99.0), np.arange(99.0)])
    unit = np.concatenate([np.zeros(500, int), np.arange(1, 100)])
    found = conformal_quantile(residual=residual, unit=unit, level=0.9)
    assert found is not None
    assert found < 99.0


def test_new_units_are_covered_as_promised() -> None:
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(400):
        draw = np.abs(rng.standard_t(3, 61))
        found = conformal_quantile(residual=draw[:60], unit=np.arange(60), level=0.95)
        assert found is not None
        hits.append(draw[60] <= found)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.033)  # 3 standard errors of 400 draws
