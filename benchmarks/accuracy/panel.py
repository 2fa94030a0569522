"""What the service makes of verdicts alone, once per draw, and of the anchors, once per number of anchors.

Everything here calls what GET /quality, POST /comparisons and POST /grade call; nothing is estimated anew.
"""

from dataclasses import dataclass, replace

import numpy as np

from app.calibration.frame import Frame
from app.stats.factors import FactorScores, PanelFactor, fit_panel_factor, score_units
from benchmarks.accuracy.recorded import Floats, Ints, Recorded


@dataclass(frozen=True, slots=True)
class Panel:
    """``frame`` without any human grade; ``factor`` and ``scores`` that its panel scores come from."""

    frame: Frame
    factor: PanelFactor
    scores: FactorScores


def judge(data: Recorded) -> Panel:
    """Fit the panel's factor and lay out a frame."""
    n = data.units
    unit, code = np.nonzero(np.isfinite(data.value))
    value = data.value[unit, code]
    draws = np.ones(unit.size, np.int64)
    factor = fit_panel_factor(
        unit=unit, judge=code, value=value, draws=draws, within=np.zeros(unit.size),
        families=data.families, centred=not data.pairwise,
    )  # fmt: skip
    scores = score_units(factor, unit=unit, judge=code, value=value, draws=draws, units=n)
    count = np.bincount(unit, minlength=n)
    nothing, ids = np.full(n, np.nan), np.arange(n)
    frame = Frame(
        kind="pairwise" if data.pairwise else "pointwise", low=0.0, high=1.0, higher_is_better=True,
        simulated=False, systems=data.systems, system_families=(None,) * len(data.systems),
        stratum_values={"part": data.strata} if data.strata else {}, judges=data.judges,
        judge_families=data.families, annotator_variance=float("nan"), newest_verdict=0,
        judge_version_ids=np.arange(len(data.judges)), unit_id=ids, answer_id=ids, other_answer_id=ids,
        item=data.prompt.astype(np.int32), prompt=data.prompt.astype(np.int32),
        system=data.system.astype(np.int32), other_system=data.other.astype(np.int32),
        length=data.length, other_length=data.other_length,
        raw_mean=np.where(count > 0, np.nansum(data.value, 1) / np.maximum(count, 1), np.nan),
        panel_score=factor.consensus_mean + factor.consensus_slope * scores.score,
        reliability=scores.reliability, cell_unit=unit.astype(np.int32), cell_judge=code.astype(np.int32),
        cell_value=value, cell_draws=draws.astype(np.int32), out_of_fold=nothing,
        fold=np.full(n, -1, np.int32), full_fit=nothing, latent_variance=nothing, grade_variance=nothing,
        extrapolates=np.zeros(n, bool), human_mean=nothing, n_human=np.zeros(n, np.int32),
        human_inclusion=nothing, strata={"part": data.stratum.astype(np.int32)} if data.strata else {},
    )  # fmt: skip
    return Panel(frame, factor, scores)


def anchored(frame: Frame, data: Recorded, rows: Ints) -> Frame:
    """The frame once people have graded ``rows``."""
    human = np.full(data.units, np.nan)
    human[rows] = data.human[rows]
    votes = np.bincount(data.vote_unit, minlength=data.units)
    return replace(frame, human_mean=human, n_human=np.where(np.isfinite(human), votes, 0).astype(np.int32))


@dataclass(frozen=True, slots=True)
class Sides:
    """Rows as tables count them: a pair once for each of its systems, on 0 to 1. All arrays are (m,).

    ``unit`` indexes the data. ``value`` (m, J) and ``raw``: the judges and their mean.
    """

    unit: Ints
    system: Ints
    stratum: Ints
    prompt: Ints
    human: Floats
    value: Floats
    raw: Floats


def sides(data: Recorded) -> Sides:
    both = np.arange(data.units)
    if not data.pairwise:
        return Sides(both, data.system, data.stratum, data.prompt, data.human, data.value, _mean(data.value))
    sign = np.repeat([1.0, -1.0], data.units)
    unit = np.tile(both, 2)
    value = 0.5 + 0.5 * sign[:, None] * data.value[unit]
    return Sides(
        unit, np.concatenate([data.system, data.other]), data.stratum[unit], data.prompt[unit],
        0.5 + 0.5 * sign * data.human[unit], value, _mean(value),
    )  # fmt: skip


def _mean(value: Floats) -> Floats:
    known = np.isfinite(value)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, value, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def group_mean(values: Floats, group: Ints, groups: int) -> Floats:
    """(groups,) over what is known; NaN where nothing is. Groups below 0 are left out."""
    known = np.isfinite(values) & (group >= 0)
    count = np.bincount(group[known], minlength=groups)
    total = np.bincount(group[known], values[known], groups)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
