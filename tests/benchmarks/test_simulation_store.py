"""Sums of simulated worlds are kept by the chunk: none is lost, none is counted twice."""

import json
from pathlib import Path

import numpy as np

from benchmarks.simulation.tally import Sums, compact, run, worlds_of


def counted(start: int, stop: int) -> Sums:
    return {"seen": np.array([float(sum(range(start, stop)))])}


def test_a_study_goes_on_where_it_was_stopped_and_counts_every_world_once(tmp_path: Path):
    store = tmp_path / "sums.jsonl"
    run("a", counted, 100, store)
    asked: list[tuple[int, int]] = []

    def watched(start: int, stop: int) -> Sums:
        asked.append((start, stop))
        return counted(start, stop)

    total = run("a", watched, 230, store)
    assert asked == [(100, 150), (150, 200), (200, 230)]
    assert worlds_of(total) == 230
    assert total["seen"] == sum(range(230))


def test_a_compact_store_has_a_line_a_cell_and_says_the_same(tmp_path: Path):
    store = tmp_path / "sums.jsonl"
    for cell in ("a", "b"):
        run(cell, counted, 150, store)
    again = store.read_text().splitlines()[0]
    store.write_text(store.read_text() + again + "\n")
    compact(store)
    rows = [json.loads(line) for line in store.read_text().splitlines()]
    assert [(row["cell"], row["from"], row["to"]) for row in rows] == [("a", 0, 150), ("b", 0, 150)]
    total = run("b", counted, 200, store)
    assert worlds_of(total) == 200
    assert total["seen"] == sum(range(200))


def test_a_gap_in_the_store_is_filled(tmp_path: Path):
    store = tmp_path / "sums.jsonl"
    run("a", counted, 150, store)
    first, _, last = store.read_text().splitlines()
    store.write_text(f"{first}\n{last}\n")
    compact(store)
    assert len(store.read_text().splitlines()) == 2
    assert run("a", counted, 150, store)["seen"] == sum(range(150))
