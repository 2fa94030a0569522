"""Calibrated scores that never saw a unit's human grades: by the panel, by one judge alone, by the others.

A judge *alone* is what the service would have answered had no other judge sat: its verdicts through the
panel's factor and the map to the human scale, each unit by the fit without the unit's prompt. *The others*
are the panel without the judge.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.calibration.design import Design
from app.calibration.fit import LEVEL, Fit
from app.stats.factors import PanelFactor, score_units
from app.stats.item_score import ItemModel, Predictions, predict_items
from app.stats.system_scores import SystemScores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The u units that people and a judge graded, by ``unit`` code, on the inner scale.

    ``human`` (u,) mean grades; ``alone``, ``panel``, ``others`` (u,) held-out calibrated scores, NaN where
    nobody says anything; ``panel_width``, ``others_width`` (u,) widths of their intervals.
    """

    unit: Ints
    human: Floats
    alone: Floats
    panel: Floats
    others: Floats
    panel_width: Floats
    others_width: Floats


class HeldOutScores:
    """Held-out scores of graded units; None of them without a map to the human scale."""

    def __init__(self, design: Design, fit: Fit) -> None:
        self._design, self._fit = design, fit
        self._graded = np.flatnonzero((design.n_human > 0) & (fit.fold >= 0))
        place = np.full(design.units, -1)
        place[self._graded] = np.arange(len(self._graded))
        cells = np.flatnonzero(place[design.unit] >= 0)
        self._row, self._judge = place[design.unit[cells]], design.judge[cells]
        self._value, self._draws = design.value[cells], design.draws[cells]
        self._all = self._predict(np.ones(len(cells), bool))

    def of(self, judge: int) -> HeldOut | None:
        """Those of the units that the judge of that code scored."""
        if self._all is None:
            return None
        mine = self._judge == judge
        alone, others = self._predict(mine), self._predict(~mine)
        assert alone is not None
        assert others is not None
        rows = np.unique(self._row[mine])
        unit = self._graded[rows]
        return HeldOut(
            unit, self._design.human_mean[unit], alone.mean[rows], self._all.mean[rows], others.mean[rows],
            self._width(self._all)[rows], self._width(others)[rows],
        )  # fmt: skip

    def _width(self, found: Predictions) -> Floats:
        assert self._fit.item is not None
        quantile = float(stats.t.ppf((1 + LEVEL) / 2, self._fit.item.freedom))
        return np.asarray(2 * quantile * np.sqrt(found.latent_variance))

    def _predict(self, cells: NDArray[np.bool_]) -> Predictions | None:
        """Held-out predictions of the graded units from some of their cells."""
        fit = self._fit
        if fit.panel is None or fit.systems is None or fit.item is None:
            return None
        mean, variance = np.full(len(self._graded), np.nan), np.full(len(self._graded), np.nan)
        fold = fit.fold[self._graded]
        for k, item in enumerate(fit.fold_items):
            part = self._by(item, fit.panel, fit.systems, cells)
            mean[fold == k] = part.mean[fold == k]
            variance[fold == k] = part.latent_variance[fold == k]
        return Predictions(mean, variance, variance, np.zeros(len(mean), bool))

    def _by(
        self, item: ItemModel, panel: PanelFactor, systems: SystemScores, cells: NDArray[np.bool_]
    ) -> Predictions:
        evidence, rows = self._design.evidence, self._graded
        scores = score_units(
            panel, unit=self._row[cells], judge=self._judge[cells], value=self._value[cells],
            draws=self._draws[cells], units=len(rows),
        )  # fmt: skip
        return predict_items(
            item, systems, score=scores.score, reliability=scores.reliability,
            system=evidence.system[rows].astype(np.int64),
            other_system=evidence.other_system[rows].astype(np.int64),
            length=evidence.length[rows], other_length=evidence.other_length[rows],
        )  # fmt: skip
