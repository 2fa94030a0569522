"""Short runs of the simulation's other studies: single answers, planted biases, silence, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.simulation import bias_cells, item_cells, refusal_cells, studies, tally
from benchmarks.simulation.bias_cells import BIAS_WORLDS
from benchmarks.simulation.item_cells import ITEM_WORLDS

BIASES = {world.name: world for world in BIAS_WORLDS}


def every(sums, ending):
    """Mean over all names that end so, each by its count."""
    names = [name for name in sums if name.endswith(f" {ending}") and name[:2] != "n:"]
    return sum(float(sums[name].sum()) for name in names) / sum(tally.counted(sums, name) for name in names)


def test_intervals_of_single_answers_hold_for_every_panel():
    cell = next(one for one in ITEM_WORLDS if "missing" in one.name)
    smaller = replace(cell, world=replace(cell.world, systems=6, prompts=60))
    sums = item_cells.chunk(smaller, 5, 0, 6)
    assert tally.pooled(sums, "100:answered") == 1
    # answers of one world share its calibration: 600 count for about 60, of which five standard errors
    least = 0.95 - 5 * (0.95 * 0.05 / 60) ** 0.5
    for panel in ("usual", "easy", "hard", "judge 0", "two", "three", "all", "unseen judge", "unseen system"):
        assert tally.pooled(sums, f"100:{panel} grade") > least
        assert tally.pooled(sums, f"100:{panel} latent") > least
    assert tally.pooled(sums, "100:all grade width") < tally.pooled(sums, "100:judge 0 grade width")
    ours, line = (tally.pooled(sums, f"100:{name} error2") for name in ("first of families grade", "line"))
    assert ours < 1.1 * line


@pytest.mark.parametrize("name", ["planted, 240 answers", "planted, 480 pairs"])
def test_planted_biases_are_found_with_intervals_that_hold(name):
    sums = bias_cells.chunk(BIASES[name], 5, 0, 12)
    told = {key: value for key, value in sums.items() if not key.startswith("own_family 2 ")}
    assert every(told, "given") == 1
    assert tally.pooled(sums, "own_family 2 given") == 0  # its family has one system
    # about fifteen effects of each world that are nearly independent: 180, five standard errors
    assert every(sums, "covered") > 0.95 - 5 * (0.95 * 0.05 / 180) ** 0.5
    for effect in ("discrimination 0", "position 0"):
        one = tally.pooled(sums, f"{effect} width") / 4
        assert abs(tally.pooled(sums, f"{effect} error")) < 4 * one / np.sqrt(12)


def test_where_nothing_is_planted_nothing_is_flagged():
    sums = bias_cells.chunk(BIASES["nothing planted, 240 answers"], 5, 0, 12)
    assert every(sums, "claimed") < 0.1
    assert every(sums, "flagged") < 0.01


def test_a_real_gap_between_families_is_not_taken_for_a_bias():
    sums = bias_cells.chunk(BIASES["no own family, gap of 1"], 5, 0, 12)
    claimed = [tally.pooled(sums, f"own_family {judge} claimed") for judge in (0, 1, 3)]
    # the first judge and its newer version treat systems alike: two judges a world, 24, five standard errors
    assert np.mean(claimed) < 0.05 + 5 * (0.05 * 0.95 / 24) ** 0.5


def test_what_cannot_be_told_is_refused_and_what_can_is_not():
    sums = refusal_cells.chunk(2, 0, 1)
    for case in refusal_cells.CASES:
        assert tally.pooled(sums, f"{case.name}:spoiled") == 1, case.name
        assert tally.pooled(sums, f"{case.name}:whole") == 0, case.name


def test_the_page_has_a_row_for_everything_that_was_run():
    cells = {cell.key: cell for cell in studies.CELLS}
    chosen = [cells["bias: planted, 480 pairs"], cells["bias: nothing planted, pairs"]]
    found = {cell: cell.chunk(1, 0, 2) for cell in chosen}
    text = studies.page(found, 2000, 1, fewer=True)
    assert text.count("| planted, 480 pairs |") == 11
    assert text.count("| nothing planted, pairs |") == 4
    assert "## Refusals" not in text
