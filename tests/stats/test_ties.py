"""Ties from a signed preference."""

import numpy as np
import pytest

from app.stats.ties import fit_tie_width, tie_probability


def test_the_width_reproduces_the_share_of_ties() -> None:
    rng = np.random.default_rng(0)
    eta, width = rng.standard_normal(4000), 0.35
    felt = eta + rng.standard_normal(4000)
    ties = np.abs(felt) < width
    from scipy.stats import norm

    preference = norm.cdf(eta - width) - norm.cdf(-eta - width)
    assert fit_tie_width(preference=preference, tie_share=ties.mean()) == pytest.approx(width, abs=0.05)


def test_ties_are_likeliest_between_equals_and_the_same_either_way() -> None:
    even, strong = tie_probability(0.0, 0.3), tie_probability(0.8, 0.3)
    assert even > strong > 0
    assert tie_probability(-0.8, 0.3) == strong


def test_people_who_never_tie_make_ties_impossible() -> None:
    assert fit_tie_width(preference=np.array([0.1, -0.5]), tie_share=0.0) == 0.0
    assert tie_probability(0.0, 0.0) == 0.0
