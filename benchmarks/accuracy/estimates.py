"""One estimate per group from each of the plain ways, and from ours, on the same anchors.

human
    the mean human grade with a t interval; with the finite population factor where the units are all.
raw
    the mean of the panel's verdicts; no interval.
ppi
    PPI++ per group on the panel's mean verdict, with the normal interval that packages ship.
best_judge
    the same on one judge: the one that follows people best within groups over *all* grades, which nobody
    could have known.
multi_ppi
    PPI++ with a coefficient per judge by least squares and the normal interval, as multi-proxy packages do.
ours
    what GET /quality shows (systems, strata) and POST /comparisons (pairs of systems).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from app.calibration.frame import Frame
from app.reporting.anchor_shift import Standing
from app.reporting.comparison_rows import difference_between
from app.reporting.graded_units import GradedUnits, graded_units
from app.reporting.quality_groups import Groups, group_units
from app.reporting.quality_rows import estimate
from app.reporting.quality_words import ENOUGH_POOLED
from app.stats.difference import anchor_overlap
from app.stats.group_quality import MINIMUMS, GroupQuality
from app.stats.rectifier import Population
from benchmarks.accuracy.panel import Floats, Ints, Sides, group_mean

LEVEL = 0.95
_SEATED = 0.9  # share of units that a judge must have scored to be used alone


@dataclass(frozen=True, slots=True)
class Estimates:
    """(G,) estimates and ends of their intervals on 0 to 1; NaN where there is none."""

    estimate: Floats
    lower: Floats
    upper: Floats

    @staticmethod
    def around(centre: Floats, half: Floats) -> "Estimates":
        return Estimates(centre, centre - half, centre + half)


def human_only(y: Floats, group: Ints, groups: int, finite: bool) -> Estimates:
    known = np.isfinite(y) & (group >= 0)
    n = np.bincount(group[known], minlength=groups)
    size = np.maximum(np.bincount(group[group >= 0], minlength=groups), 1)
    mean = group_mean(y, group, groups)
    square = np.bincount(group[known], (y[known] - mean[group[known]]) ** 2, groups)
    factor = 1.0 - n / size if finite else np.ones(groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stats.t.ppf(0.5 + LEVEL / 2, n - 1) * np.sqrt(square / (n - 1) / n * factor)
    return Estimates.around(mean, np.where(n > 1, half, np.nan))


def raw_panel(raw: Floats, group: Ints, groups: int) -> Estimates:
    nothing = np.full(groups, np.nan)
    return Estimates(group_mean(raw, group, groups), nothing, nothing)


def ppi(y: Floats, f: Floats, group: Ints, groups: int) -> Estimates:
    """PPI++ per group (Angelopoulos, Duchi & Zrnic 2023), lam clipped at 0, normal interval."""
    centre, half = np.full(groups, np.nan), np.full(groups, np.nan)
    for g in range(groups):
        rows = (group == g) & np.isfinite(f)
        labelled = rows & np.isfinite(y)
        own, seen, rest = y[labelled], f[labelled], f[rows & ~labelled]
        if own.size == 0 or rest.size == 0:
            continue
        every = np.concatenate([seen, rest])
        lam = 0.0
        if own.size > 1 and every.var() > 0:
            lam = max(float(np.cov(own, seen)[0, 1]) / ((1 + own.size / rest.size) * every.var(ddof=1)), 0.0)
        centre[g] = own.mean() + lam * (rest.mean() - seen.mean())
        half[g] = stats.norm.ppf(0.5 + LEVEL / 2) * np.sqrt(
            (own - lam * seen).var() / own.size + lam**2 * rest.var() / rest.size
        )
    return Estimates.around(centre, half)


def multi_ppi(y: Floats, value: Floats, group: Ints, groups: int) -> Estimates:
    """All judges as control variates at once; a verdict that is missing counts as its judge's mean."""
    seen = np.isfinite(value).mean(0) > 0.05
    x = value[:, seen]
    x = np.where(np.isfinite(x), x, np.nanmean(x, 0))
    centre, half = np.full(groups, np.nan), np.full(groups, np.nan)
    for g in range(groups):
        labelled, rest = (group == g) & np.isfinite(y), (group == g) & ~np.isfinite(y)
        n, p = int(labelled.sum()), x.shape[1]
        if n < p + 3 or not rest.any():
            continue
        own, middle = x[labelled], x[labelled].mean(0)
        slopes = np.linalg.lstsq(own - middle, y[labelled] - y[labelled].mean(), rcond=None)[0]
        slopes = slopes / (1 + n / rest.sum())
        centre[g] = y[labelled].mean() + (x[rest].mean(0) - middle) @ slopes
        left = (y[labelled] - own @ slopes).var() / n
        half[g] = stats.norm.ppf(0.5 + LEVEL / 2) * np.sqrt(left + (x[rest] @ slopes).var() / rest.sum())
    return Estimates.around(centre, half)


def best_judge(side: Sides, group: Ints) -> tuple[int, bool]:
    """The judge whose verdicts follow all human grades best within groups, and whether it beats the panel."""

    def follows(column: Floats) -> float:
        known = np.isfinite(column) & (group >= 0)
        if known.mean() < _SEATED * (group >= 0).mean():
            return -1.0
        g = np.unique(group[known], return_inverse=True)[1]
        x, y = (v[known] - group_mean(v[known], g, g.max() + 1)[g] for v in (column, side.human))
        return float((x * y).sum() / np.sqrt(max((x**2).sum() * (y**2).sum(), 1e-12)))

    found = [follows(side.value[:, j]) for j in range(side.value.shape[1])]
    return int(np.argmax(found)), max(found) > follows(side.raw)


@dataclass(frozen=True, slots=True)
class Ours:
    """GET /quality by one grouping. ``place``: groups of the benchmark -> rows of the table."""

    units: GradedUnits
    groups: Groups
    quality: GroupQuality
    place: Ints


def ours(frame: Frame, population: Population) -> dict[str, Ours]:
    """By target: systems and, where there are any, strata."""
    units = graded_units(frame)
    first = frame.systems[0] if units.pairwise else None
    wanted = {"systems": [(name, None) for name in frame.systems]}
    if frame.strata:
        wanted["strata"] = [(first, part) for part in frame.stratum_values["part"]]
    found = {}
    for target, keys in wanted.items():
        by = ["system"] if target == "systems" or units.pairwise else []
        groups = group_units(units, [*by, "stratum.part"] if target == "strata" else by)
        rows = [
            (system, part.get("part")) for system, part in zip(groups.systems, groups.strata, strict=True)
        ]
        place = np.array([rows.index(key) if key in rows else -1 for key in keys])
        found[target] = Ours(units, groups, estimate(units, groups, LEVEL, population), place)
    return found


def shown(one: Ours) -> Estimates:
    """What the table shows: nothing where the anchors do not stand for the traffic."""
    quality = one.quality
    by_system = one.groups.systems[0] is not None and not one.groups.strata[0]
    standing = [one.units.anchoring.of(k if by_system else None) for k in range(one.place.size)]
    given = (one.place >= 0) & np.array([found is not Standing.REFUSED for found in standing])
    parts = (quality.estimate, quality.lower, quality.upper)
    return Estimates(*(np.where(given, part[one.place], np.nan) for part in parts))


def differences(one: Ours) -> Estimates:
    """Every later system minus every earlier one."""
    quality, least = one.quality, _least(one.quality)
    overlap = anchor_overlap(quality.means, len(one.groups.systems)) if quality.pools else None
    rows = []
    for a, b in combinations(one.place, 2):
        if min(a, b) < 0 or one.units.anchoring.hopeless or min(quality.means.n_prompts[[a, b]]) < least:
            rows.append((np.nan, np.nan, np.nan))
            continue
        found = difference_between(quality, a, b, float(overlap[a, b]) if overlap is not None else 0.0)
        rows.append((found.estimate, *found.interval(LEVEL)))
    return Estimates(*np.array(rows).reshape(-1, 3).T)


def _least(quality: GroupQuality) -> int:
    if quality.pools:
        return ENOUGH_POOLED
    return MINIMUMS.prompts_alone_binary if quality.binary else MINIMUMS.prompts_alone


def independent_differences(one: Estimates) -> Estimates:
    """What a user of per-system intervals would do: differences with the variances added."""
    a, b = np.array(list(combinations(range(one.estimate.size), 2))).reshape(-1, 2).T
    half = 0.5 * (one.upper - one.lower)
    return Estimates.around(one.estimate[b] - one.estimate[a], np.hypot(half[a], half[b]))
