"""How much of a residual is people's noise: planted and found again, and what more grades would really do."""

import numpy as np
import pytest

from app.stats.errors import InsufficientData
from app.stats.noise_share import noise_share, residuals


def world(rng: np.random.Generator, *, noise: float, missed: float, anchors: int = 200, pairs: int = 80):
    """Anchors with one grade each, predicted up to ``missed`` variance, and pairs of grades on some."""
    truth = rng.normal(0, 1, anchors)
    prediction = truth + rng.normal(0, np.sqrt(missed), anchors)
    first = truth + rng.normal(0, np.sqrt(noise), anchors)
    again = first[:pairs], truth[:pairs] + rng.normal(0, np.sqrt(noise), pairs)
    return {
        "half_squares": (again[0] - again[1]) ** 2 / 2,
        "weight": np.ones(pairs),
        "pair_item": np.arange(pairs),
        "residual": residuals(first, prediction, np.zeros(anchors, int), 1.0),
        "grades": np.ones(anchors),
        "item": np.arange(anchors),
    }


@pytest.mark.parametrize(("noise", "missed"), [(0.3, 0.6), (0.5, 0.1)])
def test_the_planted_share_lies_in_its_interval(noise, missed):
    rng = np.random.default_rng(1)
    true = {
        "share": noise / (noise + missed),
        "one_more": np.sqrt(1 - 0.5 * noise / (noise + missed)),
        "new_anchors": np.sqrt(0.5),
    }
    held, estimates = dict.fromkeys(true, 0), dict.fromkeys(true, 0.0)
    for _ in range(300):
        found = noise_share(**world(rng, noise=noise, missed=missed))
        for name, value in true.items():
            one = getattr(found, name)
            held[name] += one.low - 1e-9 <= value <= one.high + 1e-9
            estimates[name] += one.estimate / 300
    # 300 worlds: one standard error of a coverage of 95% is 1.3%.
    assert all(one / 300 >= 0.91 for one in held.values()), held
    assert estimates == pytest.approx(true, abs=0.03)


def test_widths_fall_as_a_second_grade_really_makes_them():
    rng = np.random.default_rng(2)
    noise, missed, anchors = 0.6, 0.4, 200_000
    truth = rng.normal(0, 1, anchors)
    prediction = truth + rng.normal(0, np.sqrt(missed), anchors)
    one, two = (truth + rng.normal(0, np.sqrt(noise), anchors) for _ in range(2))
    group = np.zeros(anchors, int)
    now, then = (residuals(y, prediction, group, 1.0).std() for y in (one, (one + two) / 2))
    item = np.arange(anchors)
    found = noise_share(
        half_squares=(one - two) ** 2 / 2, weight=np.ones(anchors), pair_item=item,
        residual=residuals(one, prediction, group, 1.0), grades=np.ones(anchors), item=item,
    )  # fmt: skip
    assert found.one_more.estimate == pytest.approx(then / now, abs=0.005)


def test_residuals_are_within_systems_and_without_a_prediction_the_systems_mean():
    value = np.array([1.0, 3.0, 10.0, 14.0])
    found = residuals(value, np.array([0.0, 1.0, 5.0, np.nan]), np.array([0, 0, 1, 1]), 1.0)
    assert found / np.sqrt(4 / 2) == pytest.approx([-0.5, 0.5, -2.0, 2.0])


def test_a_handful_of_anchors_says_nothing():
    rng = np.random.default_rng(3)
    with pytest.raises(InsufficientData):
        noise_share(**world(rng, noise=0.3, missed=0.3, anchors=15, pairs=15))
