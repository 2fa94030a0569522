"""Draws of prompts in place of those that people graded."""

import numpy as np

from app.stats.relabelling import Relabelling


def test_a_draw_is_a_set_of_different_prompts_in_which_each_is_as_likely():
    prompts, graded, draws = 40, 12, 3_999
    null = Relabelling(
        features=np.arange(prompts, dtype=float)[:, None],  # a prompt's only feature is its name
        prompt=np.arange(prompts),
        block=np.zeros(prompts, np.int64),
        labelled=np.arange(prompts) < graded,
        rng=np.random.default_rng(1),
    )
    seen = []

    def statistic(sums):
        seen.append(sums[:, :, 0].astype(int))
        return np.zeros(len(sums)) if len(seen) > 1 else np.ones(1)

    null.p_value(statistic, draws=draws)
    drawn = np.concatenate(seen[1:])
    assert drawn.shape == (draws, graded)
    assert all(len(set(row)) == graded for row in drawn.tolist())
    often = np.bincount(drawn.ravel(), minlength=prompts)
    expected = draws * graded / prompts
    # a prompt is in or out of each draw: binomial; 5 standard deviations over 40 prompts
    assert np.abs(often - expected).max() < 5 * np.sqrt(expected * (1 - graded / prompts))
