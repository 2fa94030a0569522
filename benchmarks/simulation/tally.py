"""Sums over worlds, kept in a file as they are made, so that a study that is killed goes on where it was."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sums = dict[str, NDArray[np.float64]]
_WORLDS = "worlds"
Chunk = Callable[[int, int], Sums]
"""Sums over the worlds from one number to (not including) another."""

CHUNK = 50


class Tally:
    """Adds up arrays by name; NaN counts as nothing, and ``n:<name>`` counts what was not NaN."""

    def __init__(self) -> None:
        self.sums: Sums = defaultdict(lambda: np.zeros(1))

    def add(self, name: str, values: object) -> None:
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        known = np.isfinite(array)
        self.sums[name] = self.sums[name] + np.where(known, array, 0.0)
        self.sums[f"n:{name}"] = self.sums[f"n:{name}"] + known


def mean(sums: Sums, name: str) -> NDArray[np.float64]:
    """Mean by element; NaN where nothing was counted or nothing of that name was added."""
    if name not in sums:
        return np.full(1, np.nan)
    count = sums[f"n:{name}"]
    return np.where(count > 0, sums[name] / np.maximum(count, 1), np.nan)


def pooled(sums: Sums, name: str) -> float:
    """Mean over all elements and worlds."""
    if name not in sums:
        return float("nan")
    count = float(sums[f"n:{name}"].sum())
    return float(sums[name].sum()) / count if count else float("nan")


def counted(sums: Sums, name: str) -> int:
    return int(sums[f"n:{name}"].sum()) if f"n:{name}" in sums else 0


def worlds_of(sums: Sums) -> int:
    """How many worlds are in sums that `run` gave."""
    return int(sums[_WORLDS][0]) if _WORLDS in sums else 0


def run(cell: str, chunk: Chunk, worlds: int, store: Path, *, more: bool = True) -> Sums:
    """All sums of a cell: what ``store`` has, and (``more``) the chunks that it has not, added to it."""
    total: Sums = {}
    done: set[int] = set()
    for row in _rows(store):
        covers = range(row["from"], row["to"])
        if row["cell"] == cell and row["to"] <= worlds and done.isdisjoint(covers):
            done.update(covers)
            _merge(total, {name: np.array(values) for name, values in row["sums"].items()})
    for start in range(0, worlds if more else 0, CHUNK):
        stop = min(start + CHUNK, worlds)
        if not done.isdisjoint(range(start, stop)):
            continue
        began = time.process_time()
        sums = chunk(start, stop) | {_WORLDS: np.array([float(stop - start)])}
        with store.open("a") as file:
            file.write(_line(cell, start, stop, sums))
        _merge(total, sums)
        print(f"{cell} {stop}: {time.process_time() - began:.1f} CPU s", file=sys.stderr, flush=True)
    return total


def compact(store: Path) -> None:
    """Chunks of a cell that follow one another become one line of the store, small enough to be kept."""
    merged: list[dict[str, Any]] = []
    for row in sorted(_rows(store), key=lambda row: (row["cell"], row["from"])):
        sums = {name: np.array(values) for name, values in row["sums"].items()}
        last = merged[-1] if merged and merged[-1]["cell"] == row["cell"] else None
        if last is None or row["from"] > last["to"]:
            merged.append(row | {"sums": sums})
        elif row["from"] == last["to"]:
            _merge(last["sums"], sums)
            last["to"] = row["to"]
        # else it was done twice
    lines = [_line(row["cell"], row["from"], row["to"], row["sums"]) for row in merged]
    beside = store.with_suffix(".new")
    beside.write_text("".join(lines))
    beside.replace(store)


def _rows(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []


def _line(cell: str, start: int, stop: int, sums: Sums) -> str:
    plain = {name: [float(f"{value:.9g}") for value in values] for name, values in sums.items()}
    return json.dumps({"cell": cell, "from": start, "to": stop, "sums": plain}) + "\n"


def _merge(total: Sums, more: Sums) -> None:
    for name, values in more.items():
        total[name] = total[name] + values if name in total else np.asarray(values, dtype=np.float64)
