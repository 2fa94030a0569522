"""Candidates less a baseline on one criterion, and what may be claimed of each among many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.calibration import ScoreStatus
from app.domain.problems import BadInput, Problem
from app.reporting.anchor_shift import Standing
from app.reporting.estimates import Estimates
from app.reporting.graded_units import GradedUnits
from app.reporting.quality_words import ENOUGH_POOLED
from app.stats.difference import (
    Difference,
    Finding,
    anchor_overlap,
    decide,
    own_difference,
    traffic_covariance,
)
from app.stats.group_quality import MINIMUMS, GroupQuality, pooled_difference_variance
from app.stats.multiplicity import Adjustment, adjusted_p

_NO_ANCHORS = "the anchors do not stand for this traffic"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """Candidate minus baseline within one stratum (all of it, if ``strata`` is empty).

    ``difference`` and ``interval`` are on the criterion's own scale (pairs: win rates); ``p_value`` of no
    difference, ``p_adjusted`` over all rows that were looked at. None where nothing can be said.
    """

    strata: Mapping[str, str | None]
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None
    verdict: Finding
    baseline_anchors: int
    candidate_anchors: int
    status: ScoreStatus
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A difference on the unit scale before multiplicity; None, and ``why``, where anchors do not suffice."""

    candidate: str
    strata: Mapping[str, str | None]
    difference: Difference | None
    baseline_anchors: int
    candidate_anchors: int
    why: tuple[str, ...]


def check_strata(by: Sequence[str]) -> None:
    """Systems are compared already."""
    if "system" in by:
        problem = Problem("compare by strata: stratum.<name>", path="body.by", value="system")
        raise BadInput("systems are compared already", [problem])


def differences(
    estimates: Estimates, by: Sequence[str], baseline: str, candidates: Sequence[str], level: float
) -> tuple[list[Found], GroupQuality]:
    """Each candidate less the baseline, in every stratum of ``by`` where both occur."""
    units = estimates.units
    groups, quality = estimates.of(("system", *by), level, at="body.by")
    overlap = anchor_overlap(quality.means, len(groups.systems)) if quality.pools else None
    place = {(groups.systems[g], tuple(groups.strata[g].items())): g for g in range(len(groups.systems))}
    refused = {
        name for code, name in enumerate(units.frame.systems) if units.anchoring.of(code) is Standing.REFUSED
    }
    found = []
    for candidate in candidates:
        for (system, strata), a in place.items():
            b = place.get((candidate, strata))
            if system != baseline or b is None:
                continue
            counts = int(quality.means.n_anchors[a]), int(quality.means.n_anchors[b])
            difference, why = difference_of(units, quality, overlap, a, b)
            if refused & {baseline, candidate}:
                difference, why = None, (_NO_ANCHORS,)
            found.append(Found(candidate, dict(strata), difference, *counts, why))
    return found, quality


def anchors_of(units: GradedUnits, system: str) -> int:
    """How many answers (or pairs) of a system people graded."""
    code = units.frame.systems.index(system)
    return int(np.sum((units.system == code) & np.isfinite(units.human)))


def difference_of(
    units: GradedUnits, quality: GroupQuality, overlap: NDArray[np.float64] | None, a: int, b: int
) -> tuple[Difference | None, tuple[str, ...]]:
    """Row ``b`` minus row ``a`` on the unit scale, or None and why not. ``overlap`` of pooled rows:
    `anchor_overlap`."""
    why = _lacking(units, quality, a, b)
    if why:
        return None, why
    return difference_between(quality, a, b, float(overlap[a, b]) if overlap is not None else 0.0), ()


def difference_between(quality: GroupQuality, a: int, b: int, overlap: float) -> Difference:
    """Row ``b`` minus row ``a``, whatever they rest on."""
    means, dispersions = quality.means, quality.dispersions
    if not quality.pools or dispersions is None:
        return own_difference(means, a, b)
    traffic = traffic_covariance(means, a, b)
    variance = pooled_difference_variance(quality, a, b, overlap, traffic)
    df = float(np.min(dispersions.degrees_of_freedom[[a, b]]))
    return Difference(float(means.estimate[b] - means.estimate[a]), variance, max(df, 1.0))


def _lacking(units: GradedUnits, quality: GroupQuality, a: int, b: int) -> tuple[str, ...]:
    if units.anchoring.hopeless:
        return (_NO_ANCHORS,)
    alone = MINIMUMS.prompts_alone_binary if quality.binary else MINIMUMS.prompts_alone
    least = ENOUGH_POOLED if quality.pools else alone
    prompts = quality.means.n_prompts
    few = [
        f"{name}: human grades on {int(prompts[g])} prompts, {least} are needed to compare"
        for name, g in (("baseline", a), ("candidate", b))
        if prompts[g] < least
    ]
    if not few and not quality.pools and min(quality.off_mode[[a, b]]) < MINIMUMS.off_mode:
        few.append("nearly all human grades of one system are the same: no honest error can be given")
    return tuple(few)


def settled(
    found: Sequence[Found], widths: Sequence[float], margins: Sequence[float], level: float,
    adjustment: Adjustment,
) -> list[ComparedRow]:  # fmt: skip
    """Rows with verdicts adjusted over all of them.

    ``widths``: how much of a row's own scale 1 on the unit scale is, negative where lower is better;
    ``margins`` are on that scale.
    """
    p = np.array([np.nan if one.difference is None else one.difference.p_different() for one in found])
    same = np.array(
        [
            np.nan if one.difference is None else one.difference.p_equivalent(margin / abs(width))
            for one, margin, width in zip(found, margins, widths, strict=True)
        ]
    )
    adjusted, same = adjusted_p(p, adjustment), adjusted_p(same, adjustment)
    return [
        _row(one, width, level, float(adjusted[k]), float(same[k]))
        for k, (one, width) in enumerate(zip(found, widths, strict=True))
    ]


def nothing_of(
    strata: Mapping[str, str | None], baseline_anchors: int, candidate_anchors: int, why: tuple[str, ...]
) -> ComparedRow:
    """A row of which nothing can be said."""
    both = baseline_anchors and candidate_anchors
    return ComparedRow(
        strata, None, None, None, None, Finding.INCONCLUSIVE, baseline_anchors, candidate_anchors,
        ScoreStatus.INSUFFICIENT_ANCHORS if both else ScoreStatus.JUDGE_RELATIVE, why,
    )  # fmt: skip


def _row(found: Found, width: float, level: float, p_adjusted: float, p_equivalent: float) -> ComparedRow:
    difference = found.difference
    if difference is None:
        return nothing_of(found.strata, found.baseline_anchors, found.candidate_anchors, found.why)
    ends = [end * width for end in difference.interval(level)]
    return ComparedRow(
        strata=found.strata,
        difference=difference.estimate * width,
        interval=(min(ends), max(ends)),
        p_value=difference.p_different(),
        p_adjusted=p_adjusted,
        verdict=decide(
            p_different=p_adjusted, p_equivalent=p_equivalent, estimate=difference.estimate, level=level
        ),
        baseline_anchors=found.baseline_anchors,
        candidate_anchors=found.candidate_anchors,
        status=ScoreStatus.CALIBRATED,
        warnings=(),
    )
