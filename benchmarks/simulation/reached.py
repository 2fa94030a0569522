"""The acceptance figures beside what the cells say: how many rows are within, and the furthest off."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.simulation import bias_tables, item_tables, quality_tables
from benchmarks.simulation.refusal_cells import CASES
from benchmarks.simulation.rows import Cell as Shown
from benchmarks.simulation.rows import table
from benchmarks.simulation.tally import Sums, pooled

_HEAD = """## What was asked for, and what is reached

*rows*: of the tables below that the figure is asked of; *within*: how many are; *furthest*: the value that is
furthest off, or nearest to being so. With few worlds a row misses a range of four points by chance alone.

"""


@dataclass(frozen=True)
class Figure:
    """Values asked to lie between two ends."""

    what: str
    low: float
    high: float
    values: list[float]

    def row(self) -> tuple[Shown, ...]:
        known = np.array([v for v in self.values if np.isfinite(v)])
        off = np.maximum(self.low - known, known - self.high)
        within = int((off <= 1e-9).sum())
        asked = (
            f"at most {self.high:g}"
            if self.low == -np.inf
            else f"at least {self.low:g}"
            if self.high == np.inf
            else f"{self.low:g} to {self.high:g}"
        )
        furthest = float(known[np.argmax(off)]) if known.size else float("nan")
        return self.what, asked, known.size, within, furthest


def tables(
    systems: Mapping[str, Sums],
    means: Mapping[str, Sums],
    items: Mapping[str, Sums],
    bias: Mapping[str, Sums],
    refusals: Sums | None,
) -> str:
    figures = [*_of_systems(systems), *_of_means(means), *_of_items(items), *_of_bias(bias)]
    figures += _of_refusals(refusals)
    rows = [figure.row() for figure in figures if figure.values]
    return _HEAD + table(("figure", "asked", "rows", "within", "furthest"), rows)


def _of_systems(found: Mapping[str, Sums]) -> Iterator[Figure]:
    rows = quality_tables.values(found)
    for name in ("coverage", "pairs", "strata", "system in stratum"):
        yield Figure(f"coverage: {name}", 0.93, 0.97, [row[name] for _, row in rows])
    outlier = [row["worst"] for world, row in rows if world.startswith("outlier")]
    yield Figure("coverage: the outlier", 0.93, np.inf, outlier)
    others = [row["worst"] for world, row in rows if not world.startswith("outlier")]
    yield Figure("coverage: the worst system", 0.91, np.inf, others)
    yield Figure("compression: slope of the error on the truth", -0.05, 0.05, [r["slope"] for _, r in rows])
    yield Figure(
        "largest bias of a system, in its standard deviations", -np.inf, 0.25, [r["bias"] for _, r in rows]
    )
    null = [row["width"] for world, row in rows if world == "null panel"]
    yield Figure("width over human grades alone, null panel", -np.inf, 1.05, null)
    yield Figure("wrong among claims of a better system", -np.inf, 0.05, [row["wrong"] for _, row in rows])
    yield Figure("realised gain over its bound", 0.9, np.inf, [row["gain"] for _, row in rows])
    yield Figure("representative anchors flagged", -np.inf, 0.05, [row["flagged"] for _, row in rows])


def _of_means(found: Mapping[str, Sums]) -> Iterator[Figure]:
    rows = quality_tables.means_values(found)
    yield Figure("means of comparisons: slope of the error", -0.05, 0.05, [row["slope"] for row in rows])
    yield Figure("means of comparisons: largest bias", -np.inf, 0.25, [row["bias"] for row in rows])


def _of_items(found: Mapping[str, Sums]) -> Iterator[Figure]:
    for what, title in (("grade", "a fresh grade"), ("latent", "latent quality")):
        rows = item_tables.coverages(found, what)
        yield Figure(f"answers, {title}: coverage", 0.93, 0.97, [row["usual"] for row in rows])
        parts = [value for row in rows for who, value in row.items() if who != "usual"]
        yield Figure(f"answers, {title}: coverage by panel and stratum", 0.9, np.inf, parts)
    errors = item_tables.errors(found)
    yield Figure("answers: RMSE over the line's", -np.inf, 1.0, [line for _, line, _ in errors])
    best = [over for anchors, _, over in errors if anchors >= 100]
    yield Figure("answers: RMSE over the best linear one, from 100 anchors", -np.inf, 1.03, best)


def _of_bias(found: Mapping[str, Sums]) -> Iterator[Figure]:
    planted = [row for name, sums in found.items() for row in bias_tables.planted_values(name, sums)]
    shares = [share for share, _ in planted]
    yield Figure("planted biases: mean error in % of what is planted", -10, 10, shares)
    yield Figure("planted biases: coverage", 0.93, 0.97, [covered for _, covered in planted])
    claims = [claimed for name, sums in found.items() for claimed in bias_tables.own_family(name, sums)]
    yield Figure("own family, not planted: claimed", -np.inf, 0.05, claims)
    silent = [pooled(sums, "any flag") for name, sums in found.items() if name.startswith("nothing planted")]
    yield Figure("reports with any flag, nothing planted", -np.inf, 0.05, silent)


def _of_refusals(sums: Sums | None) -> Iterator[Figure]:
    if not sums:
        return
    refused = [pooled(sums, f"{case.name}:spoiled") for case in CASES]
    yield Figure("refused where it cannot be told", 0.95, np.inf, refused)
    wrong = [pooled(sums, f"{case.name}:whole") for case in CASES]
    yield Figure("refused where it can", -np.inf, 0.05, wrong)
