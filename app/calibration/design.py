"""From evidence to arrays: oriented 0-1 scores per unit and judge, position removed, people's means.

Pointwise scores become 0 (worst) to 1 (best). Pairs keep their sign: 1 if the canonical first wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.staged import Staged, weights_of_second_stages
from app.domain.rubrics import Criterion
from app.stats.position import PositionEffect, estimate_position, shrink_positions
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENOUGH_UNDER_NEWEST = 20  # anchored units under the newest wording, below which an older one is calibrated
_LEAST_FREEDOM = 10  # double-rated degrees of freedom for the annotators' noise


@dataclass(frozen=True, slots=True)
class Design:
    """n units, J judges, c cells (one per unit and judge that scored it).

    ``rubric_version``: the wording whose verdicts are in. ``unit``, ``judge``, ``draws`` int64 (c,);
    ``value`` float64 (c,) mean of the draws; ``within`` (c,) their sum of squared deviations.
    ``raw_mean`` (n,): mean over judges before position is removed. ``positions`` (J) and the shrunken
    ``position`` (J,) that was taken out (pairs; else empty and zeros). ``uses_expected`` bool (J,): the
    judge's value is the mean of its own distribution. ``human_mean`` (n,), ``n_human`` (n,),
    ``human_inclusion`` (n,), ``annotator_variance`` with ``annotator_freedom`` degrees of freedom.
    ``missing_unit``, ``missing_judge`` int64 (u,): a judge was asked about a unit and none of its draws was
    scored. ``staged``: first stages of units whose panels had two; None if there are none.
    ``left_out``: how many verdicts did not count, by reason.
    """

    evidence: Evidence
    signed: bool
    rubric_version: int
    unit: Ints
    judge: Ints
    value: Floats
    draws: Ints
    within: Floats
    raw_mean: Floats
    positions: tuple[PositionEffect, ...]
    position: Floats
    uses_expected: NDArray[np.bool_]
    human_mean: Floats
    n_human: Ints
    human_inclusion: Floats
    annotator_variance: float
    annotator_freedom: int
    missing_unit: Ints
    missing_judge: Ints
    left_out: Mapping[str, int]
    staged: Staged | None = None

    @property
    def units(self) -> int:
        return len(self.human_mean)

    def inner(self, native: Floats) -> Floats:
        """Native values of the criterion on the scale of this design."""
        return to_inner(self.evidence.criterion, native, self.signed)


def to_inner(criterion: Criterion, value: Floats, signed: bool) -> Floats:
    """A native value on the inner scale: 0-1 with higher better, or signed as it is."""
    if signed:
        return value
    unit = (value - criterion.scale.low) / (criterion.scale.high - criterion.scale.low)
    return unit if criterion.higher_is_better else 1.0 - unit


def build_design(
    evidence: Evidence,
    *,
    rubric_version: int | None = None,
    position: Floats | None = None,
    uses_expected: NDArray[np.bool_] | None = None,
) -> Design:
    """Arrays of ``evidence``; with ``rubric_version``, ``position`` and ``uses_expected`` of a stored
    calibration (by judge of this evidence) they are applied, otherwise they are found here."""
    signed = evidence.kind == "pairwise"
    judges, units = len(evidence.judges), len(evidence.unit_id)
    scored = (evidence.v_unscored < 0) & np.isfinite(evidence.v_value) & (evidence.v_unit >= 0)
    version = _version(evidence, scored) if rubric_version is None else rubric_version
    worded = _versions(evidence) == version
    keep = scored & worded
    unit, judge = evidence.v_unit[keep].astype(np.int64), evidence.v_judge[keep].astype(np.int64)
    if uses_expected is None:
        uses_expected = _with_expectations(judge, evidence.v_expected[keep], judges)
    expected = np.isfinite(evidence.v_expected[keep]) & uses_expected[judge]
    native = np.where(expected, evidence.v_expected[keep], evidence.v_value[keep])
    value = to_inner(evidence.criterion, native, signed)
    raw = _cells(unit, judge, value)
    positions: tuple[PositionEffect, ...] = ()
    if signed:
        first_shown = np.array([1.0, -1.0, 0.0])[evidence.v_place[keep]]
        if position is None:
            positions = _positions(evidence, unit, judge, value, first_shown)
            position = shrink_positions(
                np.array([p.effect for p in positions]), np.array([p.se for p in positions])
            )
        value = value - position[judge] * first_shown
    cells = _cells(unit, judge, value) if signed else raw
    staged = _staged(evidence, keep, unit, judge, value, native) if evidence.v_chance.size else None
    missing_unit, missing_judge = _missing(evidence, worded & ~scored, cells.unit, cells.judge)
    human_mean, n_human, squares = _people(evidence, signed)
    freedom = int(np.maximum(n_human - 1, 0).sum())
    return Design(
        evidence=evidence, signed=signed, rubric_version=version,
        unit=cells.unit, judge=cells.judge, value=cells.value, draws=cells.draws, within=cells.within,
        raw_mean=_mean_by(raw.unit, raw.value, units), positions=positions,
        position=np.zeros(judges) if position is None else position, uses_expected=uses_expected,
        human_mean=human_mean, n_human=n_human,
        human_inclusion=_mean_by(evidence.h_unit.astype(np.int64), evidence.h_inclusion, units),
        annotator_variance=squares / freedom if freedom >= _LEAST_FREEDOM else float("nan"),
        annotator_freedom=freedom, missing_unit=missing_unit, missing_judge=missing_judge,
        left_out={"unscored": int((~scored).sum()), "other_rubric_version": int((scored & ~keep).sum())},
        staged=staged,
    )  # fmt: skip


def _versions(evidence: Evidence) -> Ints:
    """The rubric version number of every verdict."""
    return np.asarray(evidence.v_rubric_version, np.int64)


def _version(evidence: Evidence, scored: NDArray[np.bool_]) -> int:
    """The newest wording with enough anchored units judged under it, else the newest that was used."""
    versions = _versions(evidence)
    used = np.unique(versions[scored])[::-1]
    anchored = np.zeros(len(evidence.unit_id), bool)
    anchored[evidence.h_unit] = True
    for version in used:
        covered = np.unique(evidence.v_unit[scored & (versions == version)])
        if anchored[covered].sum() >= ENOUGH_UNDER_NEWEST:
            return int(version)
    if len(used):
        return int(used[0])
    return max((int(v) for v in evidence.rubric_versions), default=0)


def _with_expectations(judge: Ints, expected: Floats, judges: int) -> NDArray[np.bool_]:
    """Judges all of whose verdicts carry the mean of their own distribution."""
    every = np.bincount(judge, minlength=judges)
    known = np.bincount(judge, weights=np.isfinite(expected), minlength=judges)
    return np.asarray((every > 0) & (known == every))


def _positions(
    evidence: Evidence, unit: Ints, judge: Ints, value: Floats, first_shown: Floats
) -> tuple[PositionEffect, ...]:
    """One effect per judge, from verdicts whose order of presentation is known."""
    found = []
    for code in range(len(evidence.judges)):
        rows = np.flatnonzero((judge == code) & (first_shown != 0))
        swapped = first_shown[rows] < 0
        a, b = evidence.system[unit[rows]], evidence.other_system[unit[rows]]
        found.append(
            estimate_position(
                shown=value[rows] * first_shown[rows], unit=unit[rows],
                first=np.where(swapped, b, a).astype(np.int64),
                second=np.where(swapped, a, b).astype(np.int64),
                systems=len(evidence.systems),
            )
        )  # fmt: skip
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Cells:
    unit: Ints
    judge: Ints
    value: Floats
    draws: Ints
    within: Floats


def _cells(unit: Ints, judge: Ints, value: Floats) -> _Cells:
    """One row per unit and judge, sorted by both."""
    order = np.lexsort((judge, unit))
    unit, judge, value = unit[order], judge[order], value[order]
    fresh = np.ones(len(unit), bool)
    fresh[1:] = (unit[1:] != unit[:-1]) | (judge[1:] != judge[:-1])
    starts = np.flatnonzero(fresh)
    draws = np.diff(np.append(starts, len(unit)))
    total = np.add.reduceat(value, starts) if len(starts) else np.zeros(0)
    mean = total / draws
    deviation = (value - np.repeat(mean, draws)) ** 2
    within = np.add.reduceat(deviation, starts) if len(starts) else np.zeros(0)
    return _Cells(unit[starts], judge[starts], mean, draws.astype(np.int64), within)


def _staged(
    evidence: Evidence, keep: NDArray[np.bool_], unit: Ints, judge: Ints, value: Floats, native: Floats
) -> Staged | None:
    """First stages. ``unit``, ``judge``, ``value`` (position removed) and ``native`` are of kept verdicts."""
    found, weight = weights_of_second_stages(evidence, keep)
    if not found.size:
        return None
    rows = ~evidence.v_second[keep] & np.isin(unit, found)
    cells = _cells(unit[rows], judge[rows], value[rows])
    raw = _cells(
        unit[rows], judge[rows], to_inner(evidence.criterion, native[rows], evidence.kind == "pairwise")
    )
    mean = _mean_by(raw.unit, raw.value, len(evidence.unit_id))[found]
    return Staged(found, weight, cells.unit, cells.judge, cells.value, cells.draws, mean)


def _missing(evidence: Evidence, unscored: NDArray[np.bool_], unit: Ints, judge: Ints) -> tuple[Ints, Ints]:
    """Units and judges of the seats among ``unscored`` verdicts that are none of the scored cells."""
    rows = np.flatnonzero(unscored & (evidence.v_unit >= 0))
    judges = max(len(evidence.judges), 1)
    seat = np.unique(evidence.v_unit[rows].astype(np.int64) * judges + evidence.v_judge[rows])
    seat = np.setdiff1d(seat, unit * judges + judge, assume_unique=True) if len(seat) else seat
    return seat // judges, seat % judges


def _mean_by(unit: Ints, value: Floats, units: int) -> Floats:
    """Means per unit of what is not NaN; NaN where nothing is."""
    known = np.isfinite(value)
    count = np.bincount(unit[known], minlength=units)
    total = np.bincount(unit[known], weights=value[known], minlength=units)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _people(evidence: Evidence, signed: bool) -> tuple[Floats, Ints, float]:
    """Mean and number of human grades per unit, and the sum of squares of grades around those means."""
    unit, units = evidence.h_unit.astype(np.int64), len(evidence.unit_id)
    value = to_inner(evidence.criterion, evidence.h_value, signed)
    mean = _mean_by(unit, value, units)
    return mean, np.bincount(unit, minlength=units), float(((value - mean[unit]) ** 2).sum())
