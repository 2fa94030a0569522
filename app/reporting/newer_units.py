"""Units that were judged after a calibration's snapshot, added to its frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.bulk import BulkScores
from app.calibration.frame import Frame
from app.storage.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Extended:
    """``frame`` with ``added`` units more. ``left_out``: newer verdicts of units it had already."""

    frame: Frame
    added: int
    left_out: int


def with_newer(frame: Frame, later: Evidence, scores: BulkScores) -> Extended:
    """Add the units of ``later`` that the frame does not have, with their panel scores.

    They join as traffic: human grades of theirs wait for the next calibration. A new unit counts as a
    prompt of its own (codes of prompts differ between loads), which only matters for the share of the error
    that comes from the finite traffic. Verdicts that units of the frame got since are left out.
    """
    fresh = ~np.isin(later.unit_id, frame.unit_id) & np.isfinite(scores.raw_mean)
    rows = np.flatnonzero(fresh)
    scored = later.v_unscored < 0
    left_out = int((scored & ~fresh[later.v_unit]).sum())
    if rows.size == 0:
        return Extended(frame, 0, left_out)
    systems, system_code = _merged(frame.systems, later.systems)
    families = (*frame.system_families, *later.system_families)
    by_name = dict(zip((*frame.systems, *later.systems), families, strict=True))
    other = later.other_system[rows]
    first_prompt = int(frame.prompt.max()) + 1 if frame.prompt.size else 0
    values, strata = _strata(frame, later, rows)
    nothing, none = np.full(rows.size, np.nan), np.zeros(rows.size, np.int32)

    def joined(mine: NDArray[Any], theirs: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([mine, theirs.astype(mine.dtype)])

    extended = replace(
        frame,
        systems=systems,
        system_families=tuple(by_name[name] for name in systems),
        stratum_values=values,
        unit_id=joined(frame.unit_id, later.unit_id[rows]),
        answer_id=joined(frame.answer_id, later.answer_id[rows]),
        other_answer_id=joined(frame.other_answer_id, later.other_answer_id[rows]),
        item=joined(frame.item, none - 1),
        prompt=joined(frame.prompt, first_prompt + np.unique(later.prompt[rows], return_inverse=True)[1]),
        system=joined(frame.system, system_code[later.system[rows]]),
        other_system=joined(frame.other_system, np.where(other < 0, -1, system_code[other])),
        length=joined(frame.length, later.length[rows]),
        other_length=joined(frame.other_length, later.other_length[rows]),
        day=joined(frame.day, later.day[rows]) if frame.day.size else frame.day,
        raw_mean=joined(frame.raw_mean, scores.raw_mean[rows]),
        panel_score=joined(frame.panel_score, scores.panel_score[rows]),
        reliability=joined(frame.reliability, scores.reliability[rows]),
        out_of_fold=joined(frame.out_of_fold, scores.out_of_fold[rows]),
        fold=joined(frame.fold, none - 1),
        full_fit=joined(frame.full_fit, scores.prediction.mean[rows]),
        latent_variance=joined(frame.latent_variance, scores.prediction.latent_variance[rows]),
        grade_variance=joined(frame.grade_variance, scores.prediction.grade_variance[rows]),
        extrapolates=joined(frame.extrapolates, scores.prediction.extrapolates[rows]),
        human_mean=joined(frame.human_mean, nothing),
        n_human=joined(frame.n_human, none),
        human_inclusion=joined(frame.human_inclusion, nothing),
        strata=strata,
        newest_verdict=later.newest_verdict,
        **_staged(frame, scores, rows),
    )
    return Extended(extended, int(rows.size), left_out)


def _staged(frame: Frame, scores: BulkScores, rows: NDArray[np.int64]) -> dict[str, Any]:
    """First stages of the frame's units and of the new ones; these add no cells, as new units have none."""
    if not scores.staged:
        return {}
    place = np.full(len(scores.raw_mean), -1)
    place[rows] = frame.unit_id.size + np.arange(rows.size)
    unit = place[scores.staged["stage_unit"]]
    new = unit >= 0
    joined = {"stage_unit": np.concatenate([frame.stage_unit, unit[new].astype(np.int32)])}
    for name in ("stage_weight", "first_raw_mean", "first_score", "first_reliability"):
        joined[name] = np.concatenate([getattr(frame, name), scores.staged[name][new]])
    return joined


def _merged(mine: Sequence[str], theirs: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """All names, mine first, and the code among them of each of theirs."""
    place = {name: code for code, name in enumerate(mine)}
    codes = np.array([place.setdefault(name, len(place)) for name in theirs], dtype=np.int64)
    return tuple(place), codes


def _strata(
    frame: Frame, later: Evidence, rows: NDArray[np.int64]
) -> tuple[dict[str, tuple[str, ...]], dict[str, NDArray[np.int32]]]:
    values: dict[str, tuple[str, ...]] = {}
    strata: dict[str, NDArray[np.int32]] = {}
    for name in dict.fromkeys((*frame.stratum_values, *later.stratum_values)):
        values[name], code = _merged(frame.stratum_values.get(name, ()), later.stratum_values.get(name, ()))
        old = frame.strata.get(name, np.full(frame.unit_id.size, -1, np.int32))
        new = np.full(rows.size, -1, np.int64)
        if name in later.strata:
            found = later.strata[name][rows]
            new = np.where(found < 0, -1, code[found])
        strata[name] = np.concatenate([old, new]).astype(np.int32)
    return values, strata
