from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

from app.stats.betting import begin, see

ALPHA = 0.1


def ever_excludes(values, mean, total=None, level=1 - ALPHA):
    """Whether the interval ever lost the mean, looking after every value."""
    sequence = begin(level=level, total=total)
    for value in values:
        sequence = see(sequence, np.array([value]))
        low, high = sequence.interval()
        if not low - 1e-9 <= mean <= high + 1e-9:
            return True
    return False


@pytest.mark.parametrize("a, b", [(0.2, 0.2), (2.0, 5.0), (8.0, 1.0)])
def test_the_mean_of_a_stream_is_lost_no_more_often_than_promised_however_often_one_looks(a, b):
    rng = np.random.default_rng(3)
    lost = sum(ever_excludes(rng.beta(a, b, 150), a / (a + b)) for _ in range(120))
    assert binomtest(lost, 120, ALPHA, alternative="greater").pvalue > 1e-3


def test_the_mean_of_values_in_random_order_is_lost_no_more_often_than_promised():
    rng = np.random.default_rng(4)
    values = np.concatenate([np.zeros(70), np.full(20, 0.5), np.ones(30)])
    lost = sum(ever_excludes(rng.permutation(values), values.mean(), values.size) for _ in range(150))
    assert binomtest(lost, 150, ALPHA, alternative="greater").pvalue > 1e-3


def test_over_all_orders_of_a_small_population_the_gamblers_expect_to_end_where_they_began():
    values = np.array([0.1, 0.4, 0.5, 0.8, 0.9])
    mean, ends = values.mean(), []
    for order in permutations(values):
        sequence = see(begin(level=0.95, total=5), np.array(order[:4]))
        place = round(mean * (sequence.log_plus.size - 1))
        ends.append((np.exp(sequence.log_plus[place]), np.exp(sequence.log_minus[place])))
    assert np.mean(ends, axis=0) == pytest.approx([1.0, 1.0], abs=1e-6)


def test_what_is_seen_at_once_and_one_by_one_is_the_same():
    values = np.random.default_rng(5).beta(2, 3, 60)
    values[[7, 30]] = np.nan
    together = see(begin(level=0.95, total=80), values)
    apart = begin(level=0.95, total=80)
    for value in values:
        apart = see(apart, np.array([value]))
    assert together.interval() == apart.interval()
    assert (together.seen, together.missing) == (60, 2)
    assert together.mean == pytest.approx(np.nanmean(values))


def test_of_all_values_nothing_is_left_open_but_what_is_missing():
    values = np.random.default_rng(6).random(40)
    low, high = see(begin(level=0.95, total=40), values).interval()
    assert low == pytest.approx(values.mean())
    assert high == pytest.approx(values.mean())
    values[:4] = np.nan
    low, high = see(begin(level=0.95, total=40), values).interval()
    assert low == pytest.approx(np.nansum(values) / 40)
    assert high == pytest.approx((np.nansum(values) + 4) / 40)


def test_missing_values_count_at_their_worst_on_either_side():
    rng = np.random.default_rng(7)
    values = rng.beta(5, 5, 200)
    holes = values.copy()
    holes[rng.random(200) < 0.1] = np.nan
    for total in (None, 400):
        whole = see(begin(level=0.95, total=total), values).interval()
        low, high = see(begin(level=0.95, total=total), holes).interval()
        assert low < whole[0]
        assert high > whole[1]


def test_a_difference_is_found_and_sooner_where_values_scatter_less():
    def needed(spread):
        rng = np.random.default_rng(8)
        sequence = begin(level=0.95, total=2000)
        while sequence.interval()[0] <= 0.5:
            sequence = see(sequence, np.clip(0.55 + spread * rng.standard_normal(10), 0, 1))
        return sequence.seen

    assert needed(0.05) < needed(0.2) < 600


def test_values_outside_and_values_too_many_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        see(begin(level=0.95, total=None), np.array([1.2]))
    with pytest.raises(ValueError, match="more values"):
        see(begin(level=0.95, total=2), np.array([0.1, 0.2, 0.3]))
