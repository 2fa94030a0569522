"""Where systems stand, and a unit's place within its system."""

import numpy as np
import pytest

from app.stats.system_scores import fit_system_scores, place_units


def planted(n: int = 2000, systems: int = 10, reliability: float = 0.5, seed: int = 0):
    rng = np.random.default_rng(seed)
    mean = np.sqrt(0.3) * rng.standard_normal(systems)
    system = rng.integers(0, systems, n)
    q = mean[system] + np.sqrt(0.7) * rng.standard_normal(n)
    noise = (1 - reliability) / reliability
    score = q + np.sqrt(noise) * rng.standard_normal(n)
    none = np.full(n, -1)
    found = fit_system_scores(
        score=score, reliability=np.full(n, reliability), system=system, other_system=none, systems=systems,
        signed=False, consensus_mean=0.5, consensus_slope=0.2,
    )  # fmt: skip
    return found, mean, system, q, score, none


def test_planted_means_and_variances_are_recovered() -> None:
    found, mean, *_ = planted()
    assert found.within == pytest.approx(0.7, abs=0.12)  # 3 standard errors of a variance at 2,000
    np.testing.assert_allclose(found.mean, mean, atol=0.3)
    assert 0.05 < found.between < 1.2


def test_a_unit_of_a_known_system_is_placed_by_the_conditional_expectation() -> None:
    found, _, system, _, score, none = planted()
    placed = place_units(found, score=score, reliability=np.full(2000, 0.5), system=system, other_system=none)
    kept = found.within / (found.within + 1.0)  # error variance (1 - r) / r = 1
    expected = found.mean[system] + kept * (score - found.mean[system])
    np.testing.assert_allclose(placed.centre, 0.2 * expected)
    np.testing.assert_allclose(placed.error, 0.04 * found.within * (1 - kept))


def test_a_unit_of_an_unseen_system_is_shrunk_towards_the_average_of_all() -> None:
    found, *_ = planted()
    one = np.array([1.5])
    placed = place_units(
        found, score=one, reliability=np.array([0.5]), system=np.array([-1]), other_system=np.array([-1])
    )
    total = found.within + found.between
    assert placed.centre[0] == pytest.approx(0.2 * 1.5 * total / (total + 1.0))
    assert placed.between_error[0] > 0


def test_pairs_take_the_difference_of_their_systems_and_change_sign_when_swapped() -> None:
    rng = np.random.default_rng(1)
    strength, n = np.array([0.8, 0.0, -0.8]), 900
    a = rng.integers(0, 3, n)
    b = (a + rng.integers(1, 3, n)) % 3
    score = strength[a] - strength[b] + rng.standard_normal(n)
    args = {
        "reliability": np.full(n, 0.6),
        "systems": 3,
        "signed": True,
        "consensus_mean": 0.0,
        "consensus_slope": 0.5,
    }
    one = fit_system_scores(score=score, system=a, other_system=b, **args)
    other = fit_system_scores(score=-score, system=b, other_system=a, **args)
    np.testing.assert_allclose(other.mean, one.mean, atol=1e-10)
    np.testing.assert_allclose(one.mean, strength, atol=0.15)
    here = place_units(one, score=score, reliability=args["reliability"], system=a, other_system=b)
    there = place_units(one, score=-score, reliability=args["reliability"], system=b, other_system=a)
    np.testing.assert_allclose(there.centre, -here.centre, atol=1e-12)
