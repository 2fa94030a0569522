import numpy as np
import pytest

from app.stats.relabelling import Relabelling
from app.stats.text_shift import text_directions, text_shift

WORDS = [f"word{k}" for k in range(200)]


def corpus(seed, prompts=120, systems=2):
    """Texts of random words, half of them the prompt's own."""
    rng = np.random.default_rng(seed)
    block, prompt = np.tile(np.arange(systems), prompts), np.repeat(np.arange(prompts), systems)
    shared = [rng.choice(WORDS, 15) for _ in range(prompts)]
    texts = [" ".join([*shared[p], *rng.choice(WORDS, 15)]) for p in prompt]
    return rng, texts, prompt, block


@pytest.mark.parametrize("whole_prompts", [False, True])
def test_texts_drawn_at_random_are_flagged_about_one_time_in_twenty(whole_prompts):
    _, texts, prompt, block = corpus(1)
    directions = text_directions(texts, block)
    flags = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        if whole_prompts:
            labelled = np.isin(prompt, rng.permutation(120)[:25])
        else:
            labelled = np.isin(np.arange(prompt.size), rng.permutation(prompt.size)[:40])
        found = text_shift(directions=directions, prompt=prompt, block=block, labelled=labelled, seed=seed)
        flags.append(found.p_value < 0.05)
    # 200 draws at 5%: standard error 1.5%, four of them
    assert np.mean(flags) < 0.11


def test_anchors_about_something_else_are_flagged_and_their_texts_score_higher():
    rng, texts, prompt, block = corpus(2)
    labelled = np.isin(prompt, np.arange(30))
    told = [
        f"{text} {' '.join(rng.choice(WORDS[:20], 10))}" if a else text
        for text, a in zip(texts, labelled, strict=True)
    ]
    found = text_shift(directions=text_directions(told, block), prompt=prompt, block=block, labelled=labelled)
    assert found.p_value < 0.01
    assert found.score[labelled].mean() > found.score[~labelled].mean() + 0.5


def test_too_few_prompts_are_not_tested():
    _, texts, prompt, block = corpus(3)
    found = text_shift(
        directions=text_directions(texts, block), prompt=prompt, block=block, labelled=prompt < 5
    )
    assert found.p_value is None
    assert found.prompts == 5


def test_texts_that_are_all_alike_or_empty_say_nothing():
    prompt, block = np.arange(40), np.zeros(40, int)
    for text in ("", "the same words"):
        directions = text_directions([text] * 40, block)
        found = text_shift(directions=directions, prompt=prompt, block=block, labelled=prompt < 20)
        assert found.p_value is None


def test_relabelling_is_exact_where_every_draw_can_be_counted():
    """6 prompts, 2 of them labelled: 15 draws, each as likely, and the largest sum is reached by one."""
    x = np.array([5.0, 4.0, 1.0, -2.0, -3.0, -5.0])[:, None]
    null = Relabelling(
        features=x, prompt=np.arange(6), block=np.zeros(6, int), labelled=np.arange(6) < 2,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    p = null.p_value(lambda sums: sums.sum((1, 2)), draws=20_000, enough=20_000)
    # standard error of 1/15 from 20,000 draws: .0018
    assert p == pytest.approx(1 / 15, abs=0.008)


def test_a_pattern_falls_only_on_prompts_that_have_its_systems():
    """Prompts 0 to 3 have both systems, 4 to 9 only the second: the labelled pair stays among the first."""
    prompt = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9])
    block = np.array([0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    labelled = prompt == 0
    null = Relabelling(
        features=(prompt >= 4).astype(float)[:, None], prompt=prompt, block=block, labelled=labelled,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert null.p_value(lambda sums: -sums.sum((1, 2)), draws=200, enough=1000) == 1.0
