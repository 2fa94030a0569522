"""What a calibration rests on: the data's hash and counts, and every version that went in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design
from app.calibration.fit import Fit, first_stage_scores
from app.calibration.frame import Frame, pair_code
from app.calibration.staged import Staged
from app.stats.factors import FactorScores, PanelFactor
from app.stats.text_shift import text_directions
from app.storage.evidence import Evidence


def snapshot_of(design: Design) -> dict[str, Any]:
    """Hash, counts, rubric, judge, prompt and anchor set versions, and the newest verdict, as JSON."""
    evidence = design.evidence
    units = np.bincount(design.judge, minlength=len(evidence.judges))
    return {
        "sha256": evidence.sha256,
        "newest_verdict": str(evidence.newest_verdict),
        "rubric_version": design.rubric_version,
        "rubric_versions_seen": list(evidence.rubric_versions),
        "anchor_sets": [{"name": name, "version": version} for name, version in evidence.anchor_versions],
        "judges": [
            {
                "name": judge.name, "family": judge.family, "version": judge.digest(), "model": judge.model,
                "prompt_version": judge.prompt_version, "units": int(units[j]),
            }
            for j, judge in enumerate(evidence.judges)
        ],
        "simulated": evidence.simulated,
        "simulated_left_out": evidence.left_out,
        "counts": {
            "units": design.units,
            "prompts": len(np.unique(evidence.prompt)),
            "systems": len(evidence.systems),
            "verdicts": len(evidence.v_unit),
            "judged_units": int(np.isfinite(design.raw_mean).sum()),
            "human_grades": len(evidence.h_unit),
            "graded_units": int((design.n_human > 0).sum()),
            "annotators": len(evidence.annotators),
        },
    }  # fmt: skip


def frame_of(design: Design, fit: Fit) -> Frame:
    """One row per unit of the evidence."""
    evidence, scores = design.evidence, fit.scores
    panel = np.full(design.units, np.nan)
    if fit.panel is not None:
        panel = fit.panel.consensus_mean + fit.panel.consensus_slope * scores.score
    return Frame(
        kind=str(evidence.kind), low=evidence.criterion.scale.low, high=evidence.criterion.scale.high,
        higher_is_better=evidence.criterion.higher_is_better, simulated=evidence.simulated,
        systems=evidence.systems, system_families=evidence.system_families,
        stratum_values=dict(evidence.stratum_values), judges=tuple(j.name for j in evidence.judges),
        judge_families=tuple(j.family for j in evidence.judges),
        annotator_variance=design.annotator_variance, newest_verdict=evidence.newest_verdict,
        judge_version_ids=evidence.judge_version_ids, unit_id=evidence.unit_id,
        answer_id=evidence.answer_id, other_answer_id=evidence.other_answer_id, item=evidence.item,
        prompt=evidence.prompt, system=evidence.system, other_system=evidence.other_system,
        length=evidence.length, other_length=evidence.other_length, raw_mean=design.raw_mean,
        panel_score=panel, reliability=scores.reliability, cell_unit=design.unit.astype(np.int32),
        cell_judge=design.judge.astype(np.int32), cell_value=design.value,
        cell_draws=design.draws.astype(np.int32), out_of_fold=fit.out_of_fold,
        fold=fit.fold.astype(np.int32), full_fit=fit.full.mean, latent_variance=fit.full.latent_variance,
        grade_variance=fit.full.grade_variance, extrapolates=fit.full.extrapolates,
        human_mean=design.human_mean, n_human=design.n_human.astype(np.int32),
        human_inclusion=design.human_inclusion, human_ties=_ties(design), strata=dict(evidence.strata),
        text_unit=evidence.sampled.unit.astype(np.int32), text_directions=_directions(evidence),
        missing_unit=design.missing_unit.astype(np.int32),
        missing_judge=design.missing_judge.astype(np.int32), knows_missing=True,
        **staged_columns(design.staged, fit.panel, scores),
        day=evidence.day,
    )  # fmt: skip


def staged_columns(
    staged: Staged | None,
    panel: PanelFactor | None,
    scores: FactorScores,
    known: NDArray[np.integer] | None = None,
) -> dict[str, Any]:
    """What a frame says of panels with two stages; without ``panel`` scores are raw means.

    ``known`` is as in `first_stage_scores`: cells of judges that the panel does not know are left out.
    """
    if staged is None:
        return {}
    judge = staged.cell_judge if known is None else known[staged.cell_judge]
    rows, score, reliability = judge >= 0, staged.raw_mean, np.zeros(staged.unit.size)
    if panel is not None:
        first = first_stage_scores(staged, panel, scores, known)
        score = panel.consensus_mean + panel.consensus_slope * first.score[staged.unit]
        reliability = first.reliability[staged.unit]
    return {
        "stage_unit": staged.unit.astype(np.int32),
        "stage_weight": staged.weight,
        "first_raw_mean": staged.raw_mean,
        "first_score": score,
        "first_reliability": reliability,
        "first_cell_unit": staged.cell_unit[rows].astype(np.int32),
        "first_cell_judge": judge[rows].astype(np.int32),
        "first_cell_value": staged.cell_value[rows],
    }


def _ties(design: Design) -> NDArray[np.float64]:
    """Of every labelled pair, the share of its human grades that are ties; empty for answers alone."""
    if not design.signed:
        return np.zeros(0)
    tied = np.bincount(design.evidence.h_unit, design.evidence.h_value == 0, design.units)
    labelled = design.n_human > 0
    return np.asarray(tied[labelled] / design.n_human[labelled])


def _directions(evidence: Evidence) -> NDArray[np.float64]:
    unit, texts = evidence.sampled.unit, evidence.sampled.texts
    if not texts:
        return np.zeros((0, 0))
    block = pair_code(evidence.system[unit], evidence.other_system[unit], len(evidence.systems))
    return text_directions(texts, block)
