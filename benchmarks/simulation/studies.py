"""Every cell of the simulation, the most important first, and the page that is made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.simulation import (
    bias_cells,
    bias_tables,
    item_cells,
    item_tables,
    quality_cells,
    quality_tables,
    reached,
    refusal_cells,
    refusal_tables,
)
from benchmarks.simulation.tally import Sums

_HEAD = """# Does it hold? Worlds of known truth, on the service's own path

Made by `python -m benchmarks.simulation --worlds {worlds} --write docs/simulation.md`, seed {seed}: simulated
evidence goes through the service's own functions, from recorded verdicts to quality rows and comparisons,
scores of single answers and the bias report. All intervals are of 95%. *worlds*: how many were drawn for a
row. Recorded sets with the grades of all their answers as the truth are in [accuracy.md](accuracy.md).
{fewer}
"""
_FEWER = """
**Rows of fewer than {worlds} worlds are what the time of this run allowed**, the most important first: the
coverage of one system has a standard error of 3.1 points with 50 worlds, 1.2 with 350, 0.5 with 2,000. The
command goes on from there.{missing}
"""
_MISSING = """

Not run yet: {names}."""

Part = Callable[[int, int, int], Sums]
"""Sums over the worlds of a seed, from one number to (not including) another."""


@dataclass(frozen=True)
class Cell:
    study: str
    name: str
    chunk: Part

    @property
    def key(self) -> str:
        return f"{self.study}: {self.name}"


SYSTEMS, MEANS, ITEMS, BIAS, REFUSALS = "systems", "means", "items", "bias", "refusals"

_SYSTEMS = [
    Cell(SYSTEMS, world.name, partial(quality_cells.chunk, world, quality_cells.anchors_of(world)))
    for world in quality_cells.WORLDS
]
_MEANS = [Cell(MEANS, world.name, partial(quality_cells.means_chunk, world)) for world in quality_cells.LARGE]
_ITEMS = [Cell(ITEMS, world.name, partial(item_cells.chunk, world)) for world in item_cells.ITEM_WORLDS]
_BIAS = [Cell(BIAS, world.name, partial(bias_cells.chunk, world)) for world in bias_cells.BIAS_WORLDS]
CELLS = (
    *_SYSTEMS[:4], *_SYSTEMS[6:9], _ITEMS[0], *_BIAS[:5], *_ITEMS[1:], *_BIAS[5:], *_SYSTEMS[4:6],
    *_SYSTEMS[9:], *_MEANS,
    Cell(REFUSALS, "all", refusal_cells.chunk),
)  # fmt: skip


def page(found: Mapping[Cell, Sums], worlds: int, seed: int, fewer: bool) -> str:
    """The tables of the cells that have sums."""

    def of(study: str, cells: list[Cell]) -> dict[str, Sums]:
        return {cell.name: found[cell] for cell in cells if found.get(cell)}

    absent: dict[str, list[str]] = {}
    for cell in CELLS:
        if cell in found and not found[cell]:
            absent.setdefault(cell.study, []).append(cell.name)
    names = ";\n".join(f"{study}: {', '.join(cells)}" for study, cells in absent.items())
    missing = _MISSING.format(names=names) if absent else ""
    short = _FEWER.format(worlds=worlds, missing=missing) if fewer else ""
    text = _HEAD.format(worlds=worlds, seed=seed, fewer=short)
    systems, items, bias = of(SYSTEMS, _SYSTEMS), of(ITEMS, _ITEMS), of(BIAS, _BIAS)
    means = of(MEANS, _MEANS)
    refusals = found.get(CELLS[-1])
    parts = [reached.tables(systems, means, items, bias, refusals)]
    parts += [quality_tables.tables(systems)] if systems else []
    parts += [quality_tables.means_tables(means)] if means else []
    parts += [item_tables.tables(items, item_cells.ANSWERS)] if items else []
    parts += [bias_tables.tables(bias)] if bias else []
    parts += [refusal_tables.tables(refusals)] if refusals else []
    return text + "\n".join(parts)
