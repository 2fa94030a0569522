"""What a calibration knows of each judge beyond its biases: whether its calibrated scores mean what they say,
what they leave open by system and stratum, what the judge adds to the panel, and examples of each bias.

Computed with a calibration and stored with it, as the biases are, so that a page is a look-up.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import Design
from app.calibration.fit import Fit
from app.calibration.held_out import HeldOut, HeldOutScores
from app.calibration.judge_examples import bias_examples
from app.calibration.judged import as_given, judged, points, to_native
from app.calibration.told import Report, adjust, nothing, tell
from app.domain.calibration import EffectStatus
from app.stats.errors import NotIdentified
from app.stats.panel_gain import PanelGain, panel_gain
from app.stats.reliability import Bin, bins_of, clustered_mean, line

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def judge_details(design: Design, fit: Fit, bias: Report, *, level: float = 0.95) -> list[Report]:
    """One entry per judge of ``bias`` (of `judge_bias`), in its order.

    Returns
    -------
    list of dict
        ``judge_version``; ``reliability``: ``calibrated`` and ``as_given``, each with ``slope``, ``gap`` and
        ``bins``; ``residuals``: rows with ``by`` and ``name``; ``adds``: the gain of the panel's R^2 by the
        judge, with both R^2 and mean interval widths; ``examples`` by effect. Effects are those of `told`.
        Scores and grades of bins are on the criterion's own scale, gaps and residuals in points of it, higher
        meaning better; pairs are signed.
    """
    scores = HeldOutScores(design, fit)
    why = "; ".join(one.sentence for one in fit.refusals) or "there is no calibrated score"
    found = []
    for code, told in enumerate(bias["judges"]):
        held = scores.of(code)
        found.append({
            "judge_version": told["judge_version"],
            "reliability": {
                "calibrated": _calibrated(design, held, why, level),
                "as_given": _as_given(design, code, level),
            },
            "residuals": [] if held is None else _residuals(design, held, level),
            "adds": _adds(design, held, why, level),
            "examples": bias_examples(design, code, told),
        })  # fmt: skip
    adjust((row for one in found for row in one["residuals"]), level)
    return found


def _calibrated(design: Design, held: HeldOut | None, why: str, level: float) -> Report:
    if held is None:
        lacking = nothing(EffectStatus.INSUFFICIENT_DATA, why)
        return {"slope": lacking, "gap": lacking, "bins": []}
    known = np.isfinite(held.alone)
    return _diagram(design, held.unit[known], held.alone[known], held.human[known], level)


def _as_given(design: Design, code: int, level: float) -> Report:
    """The judge's own verdicts, uncalibrated, beside people's grades of the same answers."""
    judge = judged(design, code)
    graded = design.n_human[judge.unit] > 0
    unit = judge.unit[graded]
    return _diagram(design, unit, as_given(design, judge)[graded], design.human_mean[unit], level)


def _diagram(design: Design, unit: Ints, score: Floats, human: Floats, level: float) -> Report:
    prompt = design.evidence.prompt[unit]
    gap = human - score

    def mean_gap() -> Any:
        if design.signed:
            raise NotIdentified("the gap", "a pair has no level, only which answer is better is judged")
        return clustered_mean(gap, prompt, what="answers that people graded", level=level)

    return {
        "slope": tell(
            lambda: line(score, human, prompt, signed=design.signed, level=level), "slope", no_effect=1.0
        ),
        "gap": tell(mean_gap, "points", points(design), no_effect=0.0),
        "bins": [_bin(design, one, human, prompt, level) for one in bins_of(score)],
    }


def _bin(design: Design, one: Bin, human: Floats, prompt: NDArray[np.int32], level: float) -> Report:
    native = to_native(design, human[one.rows])
    ends = to_native(design, np.array([one.low, one.high, one.score])).tolist()
    told = tell(
        lambda: clustered_mean(native, prompt[one.rows], what="answers of this score", level=level), "points"
    )
    return {
        "low": min(ends[:2]), "high": max(ends[:2]), "score": ends[2],
        "people": float(native.mean()), **told, "n": len(one.rows),
    }  # fmt: skip


def _residuals(design: Design, held: HeldOut, level: float) -> list[Report]:
    """Mean of human less calibrated, by system and by the values of every stratum."""
    evidence = design.evidence
    known = np.isfinite(held.alone)
    unit, residual = held.unit[known], (held.human - held.alone)[known]
    sides = [(evidence.system[unit], unit, residual)]
    if design.signed:  # what a pair gives to one side it takes from the other
        sides.append((evidence.other_system[unit], unit, -residual))
    system, units, values = (np.concatenate(column) for column in zip(*sides, strict=True))
    rows = _groups(design, "system", evidence.systems, system, units, values, level)
    for name in () if design.signed else sorted(evidence.strata):  # a pair has no level within a stratum
        codes = evidence.strata[name][unit]
        rows += _groups(design, name, evidence.stratum_values[name], codes, unit, residual, level)
    return rows


def _groups(
    design: Design,
    by: str,
    names: tuple[str, ...],
    code: NDArray[np.int32],
    unit: Ints,
    value: Floats,
    level: float,
) -> list[Report]:
    rows = []
    for one in np.unique(code[code >= 0]).tolist():
        inside = np.flatnonzero(code == one)
        prompt = design.evidence.prompt[unit[inside]]

        def mean(inside: Ints = inside, prompt: NDArray[np.int32] = prompt) -> Any:
            return clustered_mean(value[inside], prompt, what="answers of the group", level=level)

        told = tell(mean, "points", points(design), no_effect=0.0)
        rows.append({"by": by, "name": names[one], **told, "n": len(inside)})
    return rows


def _adds(design: Design, held: HeldOut | None, why: str, level: float) -> Report:
    """The gain of R^2 with the judge on the panel; widths are of the intervals on the same units."""
    empty = dict.fromkeys(("r2_with", "r2_without", "width_with", "width_without"))
    if held is None:
        return {**nothing(EffectStatus.INSUFFICIENT_DATA, why), **empty}
    both = np.isfinite(held.panel) & np.isfinite(held.others)
    found: list[PanelGain] = []

    def gain() -> Any:
        found.append(
            panel_gain(
                human=held.human[both], with_it=held.panel[both], without_it=held.others[both],
                prompt=design.evidence.prompt[held.unit[both]], centred=not design.signed, level=level,
            )
        )  # fmt: skip
        return found[0].gain

    told = tell(gain, "R²", no_effect=0.0)
    if not found:
        return {**told, **empty}
    scale = points(design)
    return {
        **told, "r2_with": found[0].with_it, "r2_without": found[0].without_it,
        "width_with": scale * float(held.panel_width[both].mean()),
        "width_without": scale * float(held.others_width[both].mean()),
    }  # fmt: skip
