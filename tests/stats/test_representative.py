import numpy as np
import pytest

from app.stats.representative import (
    balancing_weights,
    block_ranks,
    centred_features,
    kish_effective_size,
    representativeness,
)


def traffic(seed, systems=4, prompts=150):
    rng = np.random.default_rng(seed)
    block, prompt = np.repeat(np.arange(systems), prompts), np.tile(np.arange(prompts), systems)
    hard = rng.random(prompts)[prompt] < 0.4
    score = rng.normal(size=block.size) + 0.5 * rng.normal(size=prompts)[prompt] - 0.8 * hard
    ranks = block_ranks(score, block)
    features = np.column_stack([ranks, (ranks - 0.5) ** 2, hard.astype(float)])
    return rng, block, prompt, hard, centred_features(features, block)


def test_ranks_are_within_blocks_and_ties_share_theirs():
    ranks = block_ranks(np.array([5.0, 1.0, 1.0, np.nan, 7.0, 8.0]), np.array([0, 0, 0, 0, 1, 1]))
    assert ranks[[0, 1, 2, 4, 5]] == pytest.approx([2.5 / 3, 1 / 3, 1 / 3, 0.25, 0.75])
    assert np.isnan(ranks[3])


@pytest.mark.parametrize("whole_prompts", [False, True])
def test_anchors_drawn_at_random_are_flagged_about_one_time_in_twenty(whole_prompts):
    flags = []
    for seed in range(300):
        rng, block, prompt, _, centred = traffic(seed)
        if whole_prompts:
            labelled = np.isin(prompt, rng.permutation(150)[:30])
        else:
            labelled = np.isin(np.arange(block.size), rng.permutation(block.size)[:100])
        found = representativeness(centred=centred, prompt=prompt, labelled=labelled, block=block, seed=seed)
        flags.append(found.p_value < 0.05)
    # 300 draws at 5%: standard error 1.3%, four of them to both sides
    assert np.mean(flags) < 0.1


def test_anchors_from_one_stratum_are_flagged():
    flags = []
    for seed in range(60):
        rng, block, prompt, hard, centred = traffic(seed)
        easy = np.flatnonzero(~hard)
        labelled = np.isin(np.arange(block.size), rng.permutation(easy)[:60])
        flags.append(representativeness(centred=centred, prompt=prompt, labelled=labelled).p_value < 0.05)
    assert np.mean(flags) >= 0.95


def test_with_too_few_prompts_nothing_is_tested():
    _, block, prompt, _, centred = traffic(1)
    result = representativeness(centred=centred, prompt=prompt, labelled=np.arange(block.size) < 8)
    assert result.p_value is None
    assert result.prompts == 8


def test_balancing_weights_give_the_anchors_the_traffics_means():
    rng, block, _, hard, centred = traffic(2)
    chance = np.where(hard, 0.05, 0.25)
    labelled = rng.random(block.size) < chance
    weight = balancing_weights(centred=centred, labelled=labelled)
    assert (weight[labelled, None] * centred[labelled]).sum(0) == pytest.approx(np.zeros(3), abs=1e-4)
    assert weight[labelled].mean() == pytest.approx(1.0)
    assert kish_effective_size(weight[labelled]) < labelled.sum()


def test_no_weights_can_stand_for_a_stratum_without_anchors():
    rng, block, _, hard, centred = traffic(3)
    labelled = ~hard & (rng.random(block.size) < 0.2)
    assert balancing_weights(centred=centred, labelled=labelled) is None


def test_equal_weights_are_worth_their_number():
    assert kish_effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert kish_effective_size(np.zeros(0)) == 0
