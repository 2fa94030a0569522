from random import Random

import numpy as np
import pytest
from scipy import stats

from app.judges.latent_quality import latent_quality, normal, text_of_quality, uniform

TEXTS = [f"text number {index}" for index in range(4000)]


def test_quality_is_standard_normal_over_texts():
    qualities = [latent_quality(text) for text in TEXTS]
    assert stats.kstest(qualities, "norm").pvalue > 0.01
    on_one = [latent_quality(text, "tone") for text in TEXTS]
    assert stats.kstest(on_one, "norm").pvalue > 0.01


def test_qualities_on_two_criteria_go_together_as_documented():
    tone, help_ = ([latent_quality(text, name) for text in TEXTS] for name in ("tone", "help"))
    shared = [latent_quality(text) for text in TEXTS]
    # The standard error of a correlation of .6 over 4,000 texts is .01.
    assert np.corrcoef(tone, help_)[0, 1] == pytest.approx(0.6, abs=0.04)
    assert np.corrcoef(tone, shared)[0, 1] == pytest.approx(0.6**0.5, abs=0.03)


def test_the_quality_of_a_text_is_the_same_on_every_machine():
    assert latent_quality("Hello, world.") == pytest.approx(latent_quality("  Hello, world.\n"))
    assert latent_quality("Hello, world.") == pytest.approx(0.7573, abs=1e-4)


@pytest.mark.parametrize("target", [-3.0, -0.5, 0.0, 1.7, 3.0])
@pytest.mark.parametrize("criterion", [None, "tone"])
def test_a_text_of_a_wanted_quality_and_length_is_found(target, criterion):
    text = text_of_quality(target, Random(3), 40, criterion=criterion)
    assert latent_quality(text, criterion) == pytest.approx(target, abs=0.05)
    assert len(text.split()) == 40


def test_the_same_generator_finds_the_same_text_and_an_opening_is_kept():
    one, other = (text_of_quality(1.0, Random(5), opening="Dear Ann, thank you.") for _ in range(2))
    assert one == other
    assert one.startswith("Dear Ann, thank you. ")
    assert len(one.split()) == 60


def test_a_quality_beyond_reach_is_refused():
    for target in (4.0, float("nan")):
        with pytest.raises(ValueError, match="between"):
            text_of_quality(target, Random(1))


def test_numbers_of_a_key_lie_inside_their_range_and_differ_by_key():
    drawn = [uniform("key", index) for index in range(2000)]
    assert 0 < min(drawn) < max(drawn) < 1
    assert stats.kstest(drawn, "uniform").pvalue > 0.01
    assert normal("a", "bc") != normal("ab", "c")
