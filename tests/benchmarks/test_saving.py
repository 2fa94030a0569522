"""The benchmarks of saved calls on a few worlds: that they run, and what must hold at any size."""

import pytest
from scipy.stats import binomtest

from benchmarks import stopping, two_stage
from benchmarks.simulation.tally import Tally, pooled
from benchmarks.simulation.worlds import World


@pytest.mark.parametrize("population", ["these_units", "stream"])
def test_batches_that_end_early_claim_no_more_than_they_may(population):
    cases = list(stopping.simulated(200, 0.0, population, 300, 1))
    wrong = sum(stopping.is_wrong(stopping.ends(case, population, 0.0)[0], case.truth, 0.0) for case in cases)
    assert binomtest(wrong, 300, 1 - stopping.LEVEL, alternative="greater").pvalue > 1e-3
    by_t = sum(stopping.is_wrong(stopping.ends_by_t(case), case.truth, 0.0) for case in cases)
    assert binomtest(by_t, 300, 1 - stopping.LEVEL, alternative="greater").pvalue < 1e-3


def test_a_difference_ends_a_batch_early_and_on_the_right_side():
    cases = list(stopping.simulated(1000, 0.05, "these_units", 40, 1))
    found = [stopping.ends(case, "these_units", 0.0) for case in cases]
    assert {finding for finding, _ in found} == {"better"}
    saved = 1 - sum(seen for _, seen in found) / 40_000
    assert saved > 0.5


def test_two_stages_save_calls_and_their_means_hold_what_whole_panels_say():
    tally = Tally()
    designs = [one for one in two_stage.DESIGNS if one.name in ("all at once", "2 of 3 first")]
    world = World("small", systems=6, prompts=120)
    for k, case in enumerate(two_stage.simulated(world, 20, 40, 1)):
        two_stage.weigh(case, tally, designs, (1, k))
    sums = tally.sums
    assert pooled(sums, "2 of 3 first:calls") < 0.85
    assert pooled(sums, "2 of 3 first:panel covered") > 0.88
    assert pooled(sums, "2 of 3 first:covered") > 0.88
