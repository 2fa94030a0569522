"""A short run of `benchmarks.simulation`: intervals hold where the truth is known, on the service's path."""

from dataclasses import replace

import pytest

from benchmarks.simulation import tally
from benchmarks.simulation.quality_cells import WORLDS, chunk, means_chunk
from benchmarks.simulation.quality_tables import means_tables, tables

BY_NAME = {world.name: world for world in WORLDS}


@pytest.mark.parametrize("name", ["ordinal", "binary", "null panel", "drawn by the panel's score, logged"])
def test_intervals_of_systems_and_pairs_hold(name):
    world = replace(BY_NAME[name], prompts=120)
    sums = chunk(world, (20,), 7, 0, 20)
    # 160 intervals of 95%; those of a world hang together: five standard errors of 80 independent ones
    assert tally.pooled(sums, "20:covered") > 0.95 - 5 * (0.95 * 0.05 / 80) ** 0.5
    assert tally.pooled(sums, "20:pair covered") > 0.95 - 5 * (0.95 * 0.05 / 60) ** 0.5
    assert tally.pooled(sums, "20:answered") > 0.9
    if name == "null panel":
        # a panel of noise narrows nothing by itself; other systems do
        assert tally.pooled(sums, "20:width") < 1.05 * tally.pooled(sums, "20:labels width")


def test_a_study_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(tally, "CHUNK", 2)
    world = replace(BY_NAME["two systems"], prompts=60)
    asked = []

    def part(start, stop):
        asked.append((start, stop))
        return chunk(world, (20,), 3, start, stop)

    whole = tally.run("a", part, 4, tmp_path / "whole.jsonl")
    tally.run("b", part, 2, tmp_path / "cut.jsonl")
    tally.run("b", part, 4, tmp_path / "cut.jsonl")
    assert asked == [(0, 2), (2, 4), (0, 2), (2, 4)]
    again = tally.run("b", part, 4, tmp_path / "cut.jsonl")
    assert len(asked) == 4
    for name, values in whole.items():
        assert again[name] == pytest.approx(values, abs=1e-8)


def test_tables_have_a_row_for_every_world_and_number_of_anchors():
    world = replace(BY_NAME["outlier +0.6"], prompts=120)
    text = tables({world.name: chunk(world, (20,), 1, 0, 2)})
    assert text.count("| outlier +0.6 | 20 |") == 2
    means = means_tables({world.name: means_chunk(world, 1, 0, 2)})
    assert means.count("| outlier +0.6 |") == 3
    assert "nan" not in means


def test_the_means_of_comparisons_leave_differences_as_they_are():
    """Where rows of few anchors are drawn to each other (-.16 in this world), they are not."""
    world = replace(BY_NAME["outlier +0.6"], prompts=300)
    sums = means_chunk(world, 1, 0, 12)
    assert abs(tally.pooled(sums, "10:slope")) < 0.1
    assert tally.pooled(chunk(world, (10,), 1, 0, 12), "10:slope") < -0.1
