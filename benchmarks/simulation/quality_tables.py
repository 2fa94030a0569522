"""The sums of `quality_cells` as tables."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from benchmarks.simulation.quality_cells import ANCHORS, FEWER_ANCHORS
from benchmarks.simulation.rows import Cell, table
from benchmarks.simulation.tally import Sums, counted, mean, pooled, worlds_of

Row = Callable[[str, Sums, str], list[float]]

_HEAD = """## Systems, strata, pairs of systems

Means over the stream of prompts, their truth in closed form; the test of representative anchors and its
weights included. What a world is stands in `benchmarks/simulation/worlds.py`. *anchors*: graded prompts per
system.

### Coverage

"""
_LEGEND = """
*width*, *RMSE*: over those of human grades alone. *gain*: the realised (labels-only width / width)^2 over
1 / (1 - rho^2 N / (n + N)). *bias*: the largest |mean error| of a system over the standard deviation of its
estimates; *slope*: of the error on the truth over systems (0 leaves differences as they are). *wrong*: share
of "better" and "worse" claimed of a pair of systems that were wrong.

The estimates of quality rows are drawn to each other and to the panel, so they compress differences where
anchors are few (*slope*): the price of their error. Comparisons use the means that are not shrunk:
"""
_MEANS = """
### The means that comparisons use

Rectified by the panel and by each system's own anchors alone, in the same worlds; columns as above.

"""


_UNDER_COVERAGE = """
*worst*: the lowest coverage of a system (with an outlier: the outlier's; of eight systems the lowest lies 1.4
standard errors under the mean by chance, that is 0.7% at 2,000 worlds). *flagged*: share of worlds
whose anchors, all representative, were said not to be. *labels t*, *PPI++ z*: human grades alone with a t
interval by prompt, and per-system PPI++ with the normal interval.
"""
_COVERAGE = (
    "coverage", "worst", "pairs", "strata", "system in stratum", "answered", "flagged", "labels t", "PPI++ z",
)  # fmt: skip
_ACCURACY = (
    "width", "RMSE", "gain", "bias", "slope", "Spearman", "Kendall", "pairs in order", "wrong",
)  # fmt: skip


def tables(found: Mapping[str, Sums]) -> str:
    names = ("world", "anchors", "worlds")
    return (
        _HEAD
        + table((*names, *_COVERAGE), _rows(found, _coverage))
        + _UNDER_COVERAGE
        + "\n### Width, error, ranks\n\n"
        + table((*names, *_ACCURACY), _rows(found, _accuracy))
        + _LEGEND
    )


def means_tables(found: Mapping[str, Sums]) -> str:
    rows = ([world, n, worlds_of(sums), *row] for world, sums, n, row in _of_means(found))
    return _MEANS + table(("world", "anchors", "worlds", "RMSE", "bias", "slope"), rows)


def means_values(found: Mapping[str, Sums]) -> list[dict[str, float]]:
    """Values by column of every row of the table of means."""
    return [dict(zip(("RMSE", "bias", "slope"), row, strict=True)) for *_, row in _of_means(found)]


def _of_means(found: Mapping[str, Sums]) -> Iterator[tuple[str, Sums, int, list[float]]]:
    for world, sums in found.items():
        for n in FEWER_ANCHORS:
            if f"{n}:slope" in sums:
                at = f"{n}:"
                yield world, sums, n, [_rmse(sums, at), _largest_bias(sums, at), pooled(sums, f"{at}slope")]


def values(found: Mapping[str, Sums]) -> list[tuple[str, dict[str, float]]]:
    """World and values by column of every row of both tables."""
    out = []
    for (world, *_, covered), (*_, accurate) in zip(
        _computed(found, _coverage), _computed(found, _accuracy), strict=True
    ):
        named = zip((*_COVERAGE, *_ACCURACY), (*covered, *accurate), strict=True)
        out.append((world, dict(named)))
    return out


def _rows(found: Mapping[str, Sums], row: Row) -> Iterator[list[Cell]]:
    return ([world, n, worlds, *cells] for world, n, worlds, cells in _computed(found, row))


def _computed(found: Mapping[str, Sums], row: Row) -> Iterator[tuple[str, int, int, list[float]]]:
    for world, sums in found.items():
        for n in ANCHORS:
            if f"{n}:answered" in sums:
                yield world, n, worlds_of(sums), row(world, sums, f"{n}:")


def _coverage(world: str, sums: Sums, at: str) -> list[float]:
    by_system = mean(sums, f"{at}covered")
    known = by_system[np.isfinite(by_system)]
    worst = by_system[0] if world.startswith("outlier") else known.min() if known.size else np.nan
    # a handful of rows tells no coverage
    cell = pooled(sums, f"{at}cell covered") if counted(sums, f"{at}cell covered") >= 400 else np.nan
    return [
        pooled(sums, f"{at}covered"), float(worst), pooled(sums, f"{at}pair covered"),
        pooled(sums, f"{at}stratum covered"), cell, pooled(sums, f"{at}answered"),
        pooled(sums, f"{at}flagged"), pooled(sums, f"{at}labels covered"), pooled(sums, f"{at}ppi covered"),
    ]  # fmt: skip


def _accuracy(world: str, sums: Sums, at: str) -> list[float]:
    width, labels = pooled(sums, f"{at}width"), pooled(sums, f"{at}labels width")
    return [
        width / labels, _rmse(sums, at), (labels / width) ** 2 / pooled(sums, f"{at}bound"),
        _largest_bias(sums, at), pooled(sums, f"{at}slope"), pooled(sums, f"{at}spearman"),
        pooled(sums, f"{at}kendall"), pooled(sums, f"{at}ordered"), pooled(sums, f"{at}claim wrong"),
    ]  # fmt: skip


def _rmse(sums: Sums, at: str) -> float:
    """Over that of human grades alone."""
    return float(np.sqrt(pooled(sums, f"{at}error2") / pooled(sums, f"{at}labels error2")))


def _largest_bias(sums: Sums, at: str) -> float:
    """Of a system, over the standard deviation of its estimates."""
    error = mean(sums, f"{at}error")
    spread = np.sqrt(np.maximum(mean(sums, f"{at}error2") - error**2, 1e-12))
    bias = np.abs(error) / spread
    return float(np.nanmax(bias)) if np.isfinite(bias).any() else np.nan
