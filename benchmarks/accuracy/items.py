"""The calibrated score of a single answer or pair, with the interval for one new human grade.

The map is fitted to the anchors as a calibration fits it; the conformal quantile comes from five folds of
prompts. Judged on answers that are not anchors: RMSE against the mean human grade, coverage of single grades.
"""

import numpy as np

from app.stats.conformal import conformal_quantile
from app.stats.item_score import ItemModel, Predictions, fit_item_model, predict_items
from app.stats.system_scores import fit_system_scores
from benchmarks.accuracy.estimates import LEVEL, Estimates
from benchmarks.accuracy.panel import Floats, Ints, Panel
from benchmarks.accuracy.recorded import Recorded

_FOLDS = 5
_LEAST = 20  # anchors with a panel score, below which a calibration is refused


class ItemMaps:
    """Fits and predicts over one draw's units."""

    def __init__(self, data: Recorded, panel: Panel) -> None:
        self.data, self.scores = data, panel.scores
        self.systems = fit_system_scores(
            score=panel.scores.score, reliability=panel.scores.reliability, system=data.system,
            other_system=data.other, systems=len(data.systems), signed=data.pairwise,
            consensus_mean=panel.factor.consensus_mean, consensus_slope=panel.factor.consensus_slope,
        )  # fmt: skip
        self.columns = {
            "score": panel.scores.score, "reliability": panel.scores.reliability, "system": data.system,
            "other_system": data.other, "length": data.length, "other_length": data.other_length,
        }  # fmt: skip

    def scores_of(self, picked: Ints) -> tuple[Estimates, Floats]:
        """On 0 to 1 (n,) with a new grade's interval, NaN for anchors; and (v,) whether votes are in it."""
        data = self.data
        picked = picked[np.isfinite(self.scores.score[picked])]
        nothing = np.full(data.units, np.nan)
        if picked.size < _LEAST or np.ptp(data.human[picked]) < 1e-9:
            return Estimates(nothing, nothing, nothing), np.full(data.vote.size, np.nan)
        noise = self._annotators(picked)
        model = self._fit(picked, noise)
        out = self._predict(model)
        reach = self._quantile(picked, noise, model)
        half = reach * np.sqrt(out.grade_variance) if reach is not None else nothing
        mean = out.mean.copy()
        mean[picked] = np.nan
        inside = np.abs(data.vote - mean[data.vote_unit]) <= half[data.vote_unit]
        held = np.where(np.isfinite(mean[data.vote_unit] + half[data.vote_unit]), inside, np.nan)
        if not data.pairwise:
            return Estimates.around(mean, half), held
        return Estimates.around(0.5 + 0.5 * mean, 0.5 * half), held

    def _fit(self, rows: Ints, noise: float, near: ItemModel | None = None) -> ItemModel:
        taken = {name: column[rows] for name, column in self.columns.items()}
        votes = np.bincount(self.data.vote_unit, minlength=self.data.units)
        return fit_item_model(
            panel=self.systems, prompt=self.data.prompt[rows], human_mean=self.data.human[rows],
            n_human=votes[rows], annotator_variance=noise, start=near.fit.variances if near else None,
            **taken,
        )  # fmt: skip

    def _predict(self, model: ItemModel) -> Predictions:
        return predict_items(model, self.systems, **self.columns)

    def _annotators(self, picked: Ints) -> float:
        """Variance of one vote around its unit's mean; NaN where too few units have two."""
        rows = np.isin(self.data.vote_unit, picked)
        unit, vote = self.data.vote_unit[rows], self.data.vote[rows]
        freedom = unit.size - picked.size
        if freedom < 10:
            return float("nan")
        return float(((vote - self.data.human[unit]) ** 2).sum() / freedom)

    def _quantile(self, picked: Ints, noise: float, model: ItemModel) -> float | None:
        folds = np.unique(self.data.prompt[picked], return_inverse=True)[1] % _FOLDS
        mean, variance = np.full(self.data.units, np.nan), np.full(self.data.units, np.nan)
        for k in range(_FOLDS):
            held = picked[folds == k]
            part = self._predict(self._fit(picked[folds != k], noise, model))
            mean[held], variance[held] = part.mean[held], part.grade_variance[held]
        rows = np.isin(self.data.vote_unit, picked)
        unit = self.data.vote_unit[rows]
        residual = np.abs(self.data.vote[rows] - mean[unit]) / np.sqrt(variance[unit])
        return conformal_quantile(residual=residual, unit=unit, level=LEVEL)
