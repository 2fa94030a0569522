"""Quality of systems, strata and pairs of systems in worlds of known truth: coverage, bias, widths, ranks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.reporting.comparison_rows import difference_of
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_groups import group_units
from app.reporting.quality_rows import estimate
from app.stats.difference import Finding, anchor_overlap, decide
from app.stats.group_quality import Basis, GroupQuality
from app.stats.multiplicity import holm
from benchmarks.simulation.made_evidence import STRATUM
from benchmarks.simulation.service import judge
from benchmarks.simulation.tally import Sums, Tally
from benchmarks.simulation.worlds import Drawn, World, draw, inclusion

Floats = NDArray[np.float64]

ANCHORS = (10, 20, 30, 50, 100)
FEWER_ANCHORS = (10, 20, 50)  # in worlds beside those that every number is asked of
LEVEL = 0.95
PAIRS = 6  # of systems, compared in every world

WORLDS = (
    World("ordinal"),
    World("ordinal, prompts shared", shared_anchors=True, prompt_share=0.5),
    World("binary", cuts=(-0.3,)),
    World("drawn by the panel's score, logged", skewed=True),
    World("two answers per prompt", answers=2, systems=6, prompt_share=0.4),
    World("saturated", cuts=(-2.4, -1.9, -1.5, -1.1)),
    World("outlier +0.6", outlier=0.6),
    World("outlier +0.6, binary", outlier=0.6, cuts=(-0.3,)),
    World("null panel", null_panel=True),
    World("four systems", systems=4),
    World("two systems", systems=2),
)

LARGE = tuple(world for world in WORLDS if world.systems >= 6)
"""Worlds of enough systems for a slope of errors on truths."""


def anchors_of(world: World) -> tuple[int, ...]:
    return ANCHORS if world in WORLDS[:4] else FEWER_ANCHORS


def chunk(world: World, anchors: Sequence[int], seed: int, start: int, stop: int) -> Sums:
    """Sums over the worlds ``start`` to ``stop``, for each number of anchors per system (by prompts)."""
    tally = Tally()
    for k, n, drawn, units in _graded(world, anchors, seed, start, stop):
        _systems(tally, f"{n}:", units, drawn.systems, np.random.default_rng([seed, k, 2]))
        _parts(tally, f"{n}:", units, drawn.strata, drawn.cells)
    return tally.sums


def means_chunk(world: World, seed: int, start: int, stop: int) -> Sums:
    """Sums over the same worlds of the means that comparisons use, which are not drawn to each other."""
    tally = Tally()
    for _, n, drawn, units in _graded(world, FEWER_ANCHORS, seed, start, stop):
        means = estimate(units, group_units(units, ("system",)), LEVEL, "stream").means.estimate
        error, truth = means - drawn.systems, drawn.systems
        graded = np.isfinite(units.human)
        human = np.bincount(units.system[graded], units.human[graded], truth.size)
        human /= np.bincount(units.system[graded], minlength=truth.size)
        tally.add(f"{n}:error", error)
        tally.add(f"{n}:error2", error**2)
        tally.add(f"{n}:labels error2", (human - truth) ** 2)
        tally.add(f"{n}:slope", np.polyfit(truth, error, 1)[0])
    return tally.sums


def _graded(
    world: World, anchors: Sequence[int], seed: int, start: int, stop: int
) -> Iterator[tuple[int, int, Drawn, GradedUnits]]:
    """Every world's number, with each number of anchors: what was drawn, and its units with those graded."""
    for k in range(start, stop):
        drawn = draw(world, np.random.default_rng([seed, k]))
        judged = judge(drawn.evidence)
        for n in anchors:
            chance = inclusion(world, drawn, judged.score, n, np.random.default_rng([seed, k, 1]))
            yield k, n, drawn, judged.graded(np.where(np.isfinite(chance), drawn.grade, np.nan), chance)


def _systems(tally: Tally, at: str, units: GradedUnits, truth: Floats, rng: np.random.Generator) -> None:
    quality = estimate(units, group_units(units, ("system",)), LEVEL, "stream")
    shown = not units.anchoring.hopeless
    known = np.isfinite(quality.lower) & shown
    error = np.where(known, quality.estimate - truth, np.nan)
    tally.add(f"{at}flagged", units.anchoring.flagged)
    tally.add(f"{at}hopeless", units.anchoring.hopeless)
    tally.add(f"{at}answered", known)
    covered = (quality.lower <= truth) & (truth <= quality.upper)
    tally.add(f"{at}covered", np.where(known, covered, np.nan))
    tally.add(f"{at}width", np.where(known, quality.upper - quality.lower, np.nan))
    tally.add(f"{at}error", error)
    tally.add(f"{at}error2", error**2)
    if known.all() and truth.size > 2:
        tally.add(f"{at}slope", np.polyfit(truth, error, 1)[0])
        tally.add(f"{at}spearman", stats.spearmanr(quality.estimate, truth).statistic)
        tally.add(f"{at}kendall", stats.kendalltau(quality.estimate, truth).statistic)
        first, second = np.triu_indices(truth.size, 1)
        ordered = (quality.estimate[first] < quality.estimate[second]) == (truth[first] < truth[second])
        tally.add(f"{at}ordered", ordered.mean())
    _beside(tally, at, units, quality, truth, known)
    _pairs(tally, at, units, quality, truth, rng)


def _beside(
    tally: Tally, at: str, units: GradedUnits, quality: GroupQuality, truth: Floats, known: NDArray[np.bool_]
) -> None:
    """Human grades alone with a t by prompt, and per-system PPI++ with the normal interval."""
    count = truth.size
    labels, half, ppi, ppi_half, rho = (np.full(count, np.nan) for _ in range(5))
    for g in range(count):
        rows = units.system == g
        labelled = rows & np.isfinite(units.human)
        y, f, u = units.human[labelled], units.score[labelled], units.score[rows & ~labelled]
        by_prompt = np.bincount(np.unique(units.prompt[labelled], return_inverse=True)[1], y - y.mean())
        m = by_prompt.size
        labels[g] = y.mean()
        half[g] = stats.t.ppf(0.975, m - 1) * np.sqrt(m / (m - 1) * (by_prompt**2).sum()) / y.size
        lam = max(float(np.cov(y, f)[0, 1]) / ((1 + y.size / u.size) * units.score[rows].var(ddof=1)), 0.0)
        ppi[g] = y.mean() + lam * (u.mean() - f.mean())
        ppi_half[g] = 1.96 * np.sqrt((y - lam * f).var() / y.size + lam**2 * u.var() / u.size)
    x, y = units.prediction, units.human
    labelled = np.isfinite(y) & np.isfinite(x)
    for values in (x, y):
        mean = np.bincount(units.system[labelled], values[labelled], count)
        mean = mean / np.maximum(np.bincount(units.system[labelled], minlength=count), 1)
        rho_part = values[labelled] - mean[units.system[labelled]]
        rho = rho_part if values is x else rho * rho_part / max(_norm(rho) * _norm(rho_part), 1e-12)
    share = float(labelled.sum()) / labelled.size
    bound = 1.0 / (1.0 - min(float(rho.sum()), 0.999) ** 2 * (1.0 - share))
    tally.add(f"{at}labels covered", np.abs(labels - truth) <= half)
    tally.add(f"{at}labels width", np.where(known, 2 * half, np.nan))
    tally.add(f"{at}labels error2", np.where(known, (labels - truth) ** 2, np.nan))
    tally.add(f"{at}ppi covered", np.abs(ppi - truth) <= ppi_half)
    tally.add(f"{at}ppi width", np.where(known, 2 * ppi_half, np.nan))
    tally.add(f"{at}bound", bound)


def _norm(x: Floats) -> float:
    return float(np.sqrt((x**2).sum()))


def _pairs(
    tally: Tally, at: str, units: GradedUnits, quality: GroupQuality, truth: Floats, rng: np.random.Generator
) -> None:
    """Random pairs of systems, compared as POST /comparisons compares them."""
    overlap = anchor_overlap(quality.means, truth.size) if quality.pools else None
    p, right = [], []
    for _ in range(PAIRS):
        a, b = rng.permutation(truth.size)[:2]
        found, _ = difference_of(units, quality, overlap, int(a), int(b))
        tally.add(f"{at}pair answered", found is not None)
        if found is None:
            continue
        low, high = found.interval(LEVEL)
        delta = truth[b] - truth[a]
        tally.add(f"{at}pair covered", low <= delta <= high)
        tally.add(f"{at}pair width", high - low)
        claim = decide(
            p_different=found.p_different(), p_equivalent=1.0, estimate=found.estimate, level=LEVEL
        )
        p.append(found.p_different())
        right.append((found.estimate > 0) == (delta > 0))
        if claim is not Finding.INCONCLUSIVE:
            tally.add(f"{at}claim wrong", not right[-1])
    for adjusted, good in zip(holm(np.array(p)) if p else (), right, strict=True):
        if adjusted <= 1 - LEVEL:
            tally.add(f"{at}holm wrong", not good)


def _parts(tally: Tally, at: str, units: GradedUnits, strata: Floats, cells: Floats) -> None:
    """Rows by stratum, and by system and stratum."""
    if units.anchoring.hopeless:
        return
    for by, name, truth in (
        ((f"stratum.{STRATUM}",), "stratum", strata),
        (("system", f"stratum.{STRATUM}"), "cell", cells.ravel()),
    ):
        groups = group_units(units, by)
        quality = estimate(units, groups, LEVEL, "stream")
        known = np.isfinite(quality.lower)
        # the API marks pooled rows of few prompts as insufficient: only those it calls calibrated count
        few = np.array([b is Basis.POOLED for b in quality.basis]) & (quality.means.n_prompts < 10)
        covered = (quality.lower <= truth) & (truth <= quality.upper)
        tally.add(f"{at}{name} covered", np.where(known & ~few, covered, np.nan))
        tally.add(f"{at}{name} few covered", np.where(known & few, covered, np.nan))
