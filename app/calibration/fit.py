"""From a design to a fit: the panel's factor, the map to the human scale, and the map without each prompt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration import limits
from app.calibration.design import Design
from app.calibration.staged import Staged
from app.stats.conformal import conformal_quantile
from app.stats.errors import InsufficientData
from app.stats.factors import FactorScores, PanelFactor, fit_panel_factor, score_units
from app.stats.item_score import ItemModel, Predictions, fit_item_model, predict_items
from app.stats.system_scores import SystemScores, fit_system_scores
from app.stats.ties import fit_tie_width

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Fit:
    """Everything that was fitted, over the design's n units.

    ``panel`` and ``systems`` rest on verdicts alone. ``item`` and what follows are None (or empty) if
    anchors do not suffice, with ``refusals`` saying why. ``fold_items``: the map fitted without each
    fold's prompts; ``fold`` (n,): a unit's fold, -1 where its prompt has no human grade.
    ``out_of_fold`` (n,). ``conformal``: the standard deviations that hold a new grade at 95%, None
    unknown. ``tie_width``: half the distance between winning and losing on the probit scale (pairs).
    """

    panel: PanelFactor | None
    scores: FactorScores
    systems: SystemScores | None
    item: ItemModel | None
    fold_items: tuple[ItemModel, ...]
    fold: Ints
    full: Predictions
    out_of_fold: Floats
    conformal: float | None
    tie_width: float | None
    variance_intervals: dict[str, tuple[float, float]]
    seed: int
    refusals: tuple[limits.Refused, ...]


def fit_panel(design: Design) -> tuple[PanelFactor, FactorScores, SystemScores]:
    """What verdicts alone say: the panel's factor, every unit's score, every system's mean.

    Whom a second stage asked hangs on what the first said, which is among the verdicts: the likelihood of the
    factor may ignore it (Rubin 1976), and a unit's score does by the factor's sufficiency. Moments may not:
    systems' means and variances rest on first stages, which nothing selected.

    Raises
    ------
    InsufficientData
        If no judge has enough scored units that differ.
    """
    evidence = design.evidence
    units = np.bincount(design.judge, minlength=len(evidence.judges))
    least = limits.MIN_BRIDGE if (units >= limits.MIN_BRIDGE).any() else 5
    panel = fit_panel_factor(
        unit=design.unit, judge=design.judge, value=design.value, draws=design.draws,
        within=design.within, families=[judge.family for judge in evidence.judges],
        centred=not design.signed, least_units=least,
    )  # fmt: skip
    scores = score_units(
        panel, unit=design.unit, judge=design.judge, value=design.value, draws=design.draws,
        units=design.units,
    )  # fmt: skip
    unselected = first_stage_scores(design.staged, panel, scores)
    systems = fit_system_scores(
        score=unselected.score, reliability=unselected.reliability, system=evidence.system.astype(np.int64),
        other_system=evidence.other_system.astype(np.int64), systems=len(evidence.systems),
        signed=design.signed, consensus_mean=panel.consensus_mean, consensus_slope=panel.consensus_slope,
    )  # fmt: skip
    return panel, scores, systems


def first_stage_scores(
    staged: Staged | None,
    panel: PanelFactor,
    scores: FactorScores,
    known: NDArray[np.integer] | None = None,
) -> FactorScores:
    """``scores`` with those of units that had two stages by their first stage alone.

    ``known`` (J,) maps judges of the cells to those of ``panel``, -1 unknown; by default they are the same.
    """
    if staged is None:
        return scores
    judge = staged.cell_judge if known is None else known[staged.cell_judge].astype(np.int64)
    rows = judge >= 0
    first = score_units(
        panel, unit=staged.cell_unit[rows], judge=judge[rows], value=staged.cell_value[rows],
        draws=staged.cell_draws[rows], units=len(scores.score),
    )  # fmt: skip
    score, reliability = scores.score.copy(), scores.reliability.copy()
    score[staged.unit], reliability[staged.unit] = first.score[staged.unit], first.reliability[staged.unit]
    return FactorScores(score, reliability)


def without_map(
    design: Design,
    panel: PanelFactor | None,
    scores: FactorScores,
    systems: SystemScores | None,
    *,
    seed: int = 0,
    refusals: tuple[limits.Refused, ...] = (),
) -> Fit:
    """A fit of verdicts alone, without a map to the human scale."""
    n = design.units
    nothing, no_fold = np.full(n, np.nan), np.full(n, -1)
    silent = Predictions(nothing, nothing, nothing, np.zeros(n, bool))
    return Fit(panel, scores, systems, None, (), no_fold, silent, nothing, None, None, {}, seed, refusals)


def fit_calibration(design: Design, *, seed: int) -> Fit:
    """Fit all that the data allow. ``seed`` decides which prompts share a fold."""
    evidence = design.evidence
    try:
        panel, scores, systems = fit_panel(design)
    except InsufficientData:
        scores = FactorScores(np.full(design.units, np.nan), np.zeros(design.units))
        return without_map(design, None, scores, None, seed=seed, refusals=(limits.no_verdicts(),))
    system, other = evidence.system.astype(np.int64), evidence.other_system.astype(np.int64)
    graded, judged = design.n_human > 0, np.isfinite(scores.score)
    anchors = np.flatnonzero(graded & judged)
    refusals = _refusals(design, anchors, int(judged.sum()), int(graded.sum()))
    if refusals:
        return without_map(design, panel, scores, systems, seed=seed, refusals=refusals)
    maps = _Maps(design, scores, systems, system, other)
    item = maps.fit(anchors)
    fold, folds = _folds(evidence.prompt, graded, seed)
    fold_items = tuple(maps.fit(anchors[fold[anchors] != k], item) for k in range(folds))
    full = maps.predict(item)
    out_of_fold, variance = _out_of_fold(maps, fold_items, fold)
    return Fit(
        panel, scores, systems, item, fold_items, fold, full, out_of_fold,
        conformal=_conformal(design, anchors, out_of_fold, variance),
        tie_width=_tie_width(design, anchors, out_of_fold),
        variance_intervals=item.rows.intervals(item.fit) if item.rows else {}, seed=seed,
        refusals=limits.check_interval(len(anchors)),
    )  # fmt: skip


def _refusals(design: Design, anchors: Ints, judged: int, graded: int) -> tuple[limits.Refused, ...]:
    evidence = design.evidence
    if not len(anchors):
        return (limits.no_anchors(judged, graded),)
    systems = np.r_[evidence.system[anchors], evidence.other_system[anchors]]
    refusals = limits.check_anchors(
        len(np.unique(evidence.prompt[anchors])), len(np.unique(systems[systems >= 0]))
    )
    if np.ptp(design.human_mean[anchors]) <= 1e-12:
        refusals += (limits.no_variation(),)
    return refusals


@dataclass(frozen=True, slots=True)
class _Maps:
    """Fits and predicts over rows of one design."""

    design: Design
    scores: FactorScores
    systems: SystemScores
    system: Ints
    other: Ints

    def fit(self, rows: Ints, near: ItemModel | None = None) -> ItemModel:
        design, evidence = self.design, self.design.evidence
        return fit_item_model(
            panel=self.systems, score=self.scores.score[rows], reliability=self.scores.reliability[rows],
            system=self.system[rows], other_system=self.other[rows],
            length=evidence.length[rows], other_length=evidence.other_length[rows],
            prompt=evidence.prompt[rows].astype(np.int64), human_mean=design.human_mean[rows],
            n_human=design.n_human[rows], annotator_variance=design.annotator_variance,
            start=near.fit.variances if near else None,
        )  # fmt: skip

    def predict(self, item: ItemModel) -> Predictions:
        evidence = self.design.evidence
        return predict_items(
            item, self.systems, score=self.scores.score, reliability=self.scores.reliability,
            system=self.system, other_system=self.other,
            length=evidence.length, other_length=evidence.other_length,
        )  # fmt: skip


def _folds(prompt: NDArray[np.int32], graded: NDArray[np.bool_], seed: int) -> tuple[Ints, int]:
    """Folds of prompts that have human grades, equal in prompts as far as possible."""
    labelled = np.unique(prompt[graded])
    folds = len(labelled) if len(labelled) < limits.LEAVE_ONE_OUT_BELOW else limits.FOLDS
    by_prompt = np.full(int(prompt.max()) + 1, -1)
    by_prompt[labelled] = np.random.default_rng(seed).permutation(len(labelled)) % folds
    return by_prompt[prompt], folds


def _out_of_fold(maps: _Maps, fold_items: tuple[ItemModel, ...], fold: Ints) -> tuple[Floats, Floats]:
    """Predictions by fits that saw nothing of the unit's prompt, and their variance for a new grade."""
    mean, variance = np.zeros(len(fold)), np.full(len(fold), np.nan)
    for k, item in enumerate(fold_items):
        part = maps.predict(item)
        mean = np.where(fold == -1, mean + part.mean / len(fold_items), mean)
        mean = np.where(fold == k, part.mean, mean)
        variance = np.where(fold == k, part.grade_variance, variance)
    return mean, variance


def _conformal(design: Design, anchors: Ints, out_of_fold: Floats, variance: Floats) -> float | None:
    evidence = design.evidence
    rows = np.isin(evidence.h_unit, anchors)
    unit = evidence.h_unit[rows].astype(np.int64)
    grade = design.inner(evidence.h_value[rows])
    residual = np.abs(grade - out_of_fold[unit]) / np.sqrt(variance[unit])
    return conformal_quantile(residual=residual, unit=unit, level=LEVEL)


def _tie_width(design: Design, anchors: Ints, out_of_fold: Floats) -> float | None:
    if not design.signed:
        return None
    evidence = design.evidence
    rows = np.isin(evidence.h_unit, anchors)
    ties = float((evidence.h_value[rows] == 0).mean())
    return fit_tie_width(preference=out_of_fold[evidence.h_unit[rows]], tie_share=ties)
