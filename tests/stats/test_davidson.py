import numpy as np
import pytest

from app.stats.davidson import log_partition, outcomes

ETA = np.array([-3.0, -0.4, 0.0, 1.1, 6.0])


@pytest.mark.parametrize("gamma", [-np.inf, -1.0, 0.7])
def test_chances_sum_to_one_and_turn_with_the_pair(gamma):
    one, other = outcomes(ETA, gamma), outcomes(-ETA, gamma)
    np.testing.assert_allclose(one.win + one.tie + one.loss, 1.0)
    np.testing.assert_allclose(one.win, other.loss)
    np.testing.assert_allclose(one.win_rate, 1 - other.win_rate)


def test_neighbouring_outcomes_differ_by_half_the_strength_and_the_ties():
    one = outcomes(ETA, 0.3)
    np.testing.assert_allclose(np.log(one.win / one.loss), ETA)
    np.testing.assert_allclose(np.log(one.tie / np.sqrt(one.win * one.loss)), 0.3)


def test_win_rate_and_ties_are_the_derivatives_of_the_partition_and_information_theirs():
    h, gamma = 1e-5, -0.2
    for derivative, up, down in (
        (outcomes(ETA, gamma).win_rate, log_partition(ETA + h, gamma), log_partition(ETA - h, gamma)),
        (outcomes(ETA, gamma).tie, log_partition(ETA, gamma + h), log_partition(ETA, gamma - h)),
        (outcomes(ETA, gamma).information[0], outcomes(ETA + h, gamma).win_rate,
         outcomes(ETA - h, gamma).win_rate),
        (outcomes(ETA, gamma).information[1], outcomes(ETA, gamma + h).win_rate,
         outcomes(ETA, gamma - h).win_rate),
        (outcomes(ETA, gamma).information[2], outcomes(ETA, gamma + h).tie, outcomes(ETA, gamma - h).tie),
    ):  # fmt: skip
        np.testing.assert_allclose(derivative, (up - down) / (2 * h), atol=1e-9)  # h^2 and rounding / h


def test_far_apart_systems_do_not_overflow():
    far = outcomes(np.array([-2000.0, 2000.0]), 0.0)
    np.testing.assert_allclose(far.win_rate, [0.0, 1.0])
