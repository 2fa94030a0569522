"""Sums over worlds, kept in a file as they are made, so that a study that is killed goes on where it was."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

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
    done = set()
    if store.exists():
        for line in store.read_text().splitlines():
            row = json.loads(line)
            whole = row["to"] == min(row["from"] + CHUNK, worlds)
            if row["cell"] == cell and whole and row["from"] not in done:
                done.add(row["from"])
                _merge(total, {name: np.array(values) for name, values in row["sums"].items()})
    for start in range(0, worlds if more else 0, CHUNK):
        if start in done:
            continue
        began = time.process_time()
        stop = min(start + CHUNK, worlds)
        sums = chunk(start, stop) | {_WORLDS: np.array([float(stop - start)])}
        plain = {name: [round(float(v), 10) for v in values] for name, values in sums.items()}
        with store.open("a") as file:
            file.write(json.dumps({"cell": cell, "from": start, "to": stop, "sums": plain}) + "\n")
        _merge(total, sums)
        print(f"{cell} {stop}: {time.process_time() - began:.1f} CPU s", file=sys.stderr, flush=True)
    return total


def _merge(total: Sums, more: Sums) -> None:
    for name, values in more.items():
        total[name] = total[name] + values if name in total else np.asarray(values, dtype=np.float64)
