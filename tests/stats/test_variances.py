import numpy as np
import pytest

from app.stats.variances import moderated_dispersions


def call(variance, df=9.0, mean=0.5, n=10.0, off=8, mode=1.0, pool=True):
    v = np.asarray(variance, float)
    full = lambda x: np.broadcast_to(np.asarray(x, float), v.shape)  # noqa: E731
    return moderated_dispersions(
        variance=v,
        degrees_of_freedom=full(df),
        mean=full(mean),
        effective_n=full(n),
        off_mode=np.broadcast_to(np.asarray(off, int), v.shape),
        mode=full(mode),
        pool=pool,
    )


def test_without_pooling_each_group_keeps_its_own():
    result = call([0.1, 0.2], pool=False)
    assert result.dispersion == pytest.approx([0.4, 0.8])
    assert result.degrees_of_freedom == pytest.approx([9, 9])


def test_groups_that_vary_alike_share_one_dispersion_and_all_degrees_of_freedom():
    rng = np.random.default_rng(2)
    variances = 0.1 * rng.chisquare(9, 12) / 9
    result = call(variances)
    assert result.common_df > 30
    assert result.dispersion == pytest.approx(np.full(12, result.common), rel=0.2)
    assert result.degrees_of_freedom.min() > 39


def test_groups_that_vary_differently_keep_mostly_their_own():
    rng = np.random.default_rng(3)
    variances = np.repeat([0.01, 0.2], 6) * rng.chisquare(29, 12) / 29
    result = call(variances, df=29.0, n=30.0)
    assert result.common_df < 5
    assert result.dispersion[:6].max() < 0.25 * result.dispersion[6:].min()


def test_a_unanimous_group_gets_the_largest_dispersion_there_is():
    result = call([0.1, 0.1, 0.1, 0.0], off=[8, 8, 8, 0], mean=[0.5, 0.5, 0.5, 1.0])
    assert result.dispersion[3] == pytest.approx(1.0)


def test_a_group_that_agrees_on_the_middle_of_the_scale_can_vary_less_than_one_that_agrees_on_its_end():
    result = call([0.01] * 5, off=[8, 8, 8, 0, 0], mean=[0.5, 0.5, 0.5, 0.5, 1.0], mode=[0.5] * 4 + [1.0])
    # one grade in twelve half the scale away, 1/12 * 11/12 / 4, of the 1/4 that the middle allows
    assert result.dispersion[3] == pytest.approx(11 / 144)
    assert result.dispersion[4] == pytest.approx(1.0)


def test_one_group_that_varies_more_is_not_wholly_pooled_away():
    variances = np.full(11, 0.05)
    variances[0] *= 1.5
    result = call(variances, df=20.0, n=20.0)
    assert 1.05 * result.common < result.dispersion[0] < 1.5 * 4 * 0.05
    assert result.degrees_of_freedom[0] < 11 * 20


def test_a_group_near_the_end_of_the_scale_is_compared_by_dispersion_not_variance():
    result = call([0.08, 0.08, 0.08, 0.08 * 0.36], mean=[0.5, 0.5, 0.5, 0.9], n=1e6, df=20.0)
    assert result.dispersion == pytest.approx(np.full(4, 0.32), rel=1e-3)


def test_no_group_with_two_anchors_means_nothing_can_be_said():
    assert call([np.nan, np.nan], df=0.0) is None
