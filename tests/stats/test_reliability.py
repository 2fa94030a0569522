from itertools import pairwise

import numpy as np
import pytest

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.reliability import MOST_BINS, bins_of, clustered_mean, line


def test_few_values_are_a_bin_each_and_many_make_bins_of_equal_size():
    score = np.array([3.0, 1.0, 2.0, 1.0, 3.0, 3.0])
    found = bins_of(score)
    assert [(one.low, one.high, one.score) for one in found] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert [sorted(one.rows.tolist()) for one in found] == [[1, 3], [2], [0, 4, 5]]
    free = np.random.default_rng(1).normal(size=1000)
    found = bins_of(free)
    assert [len(one.rows) for one in found] == [100] * MOST_BINS
    assert all(a.high <= b.low for a, b in pairwise(found))
    assert sorted(np.concatenate([one.rows for one in found]).tolist()) == list(range(1000))
    assert bins_of(np.array([])) == ()


def test_the_slope_is_that_of_least_squares():
    rng = np.random.default_rng(2)
    score, prompt = rng.normal(size=200), np.repeat(np.arange(50), 4)
    human = 0.7 * score + 0.3 * rng.normal(size=200) + 1
    assert line(score, human, prompt, signed=False).estimate == pytest.approx(np.polyfit(score, human, 1)[0])
    through_origin = (score @ human) / (score @ score)
    assert line(score, human, prompt, signed=True).estimate == pytest.approx(through_origin)


def test_scores_that_are_conditional_means_have_a_slope_of_one_and_bins_that_hold_their_mean():
    rng = np.random.default_rng(3)
    slopes, means = [], []
    for _ in range(200):
        prompt = np.repeat(np.arange(60), 3)
        score = rng.normal(size=180)
        human = score + 0.5 * rng.normal(size=60)[prompt] + 0.5 * rng.normal(size=180)
        slope = line(score, human, prompt, signed=False)
        slopes.append(slope.low <= 1 <= slope.high)
        error = clustered_mean(human - score, prompt, what="answers")
        means.append(error.low <= 0 <= error.high)
    assert np.mean(slopes) >= 0.9
    assert np.mean(means) >= 0.9  # nominal .95; three standard errors of 200 trials are .046


def test_what_cannot_be_told_is_named():
    prompt = np.arange(12)
    with pytest.raises(NotIdentified, match="nothing of their spread"):
        clustered_mean(np.ones(12), prompt, what="answers")
    with pytest.raises(InsufficientData, match="prompts of answers"):
        clustered_mean(np.arange(12.0), prompt // 4, what="answers")
    with pytest.raises(InsufficientData):
        line(np.arange(12.0), np.arange(12.0), prompt, signed=False)
    with pytest.raises(NotIdentified):
        line(np.ones(40), np.arange(40.0), np.arange(40), signed=False)
