"""The stored form of a fit: JSON that people can read and `apply` can compute with.

Values are on the inner scale (0 worst to 1 best; pairs -1 to 1) unless a key says ``native``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.calibration import limits
from app.calibration.design import Design
from app.calibration.fit import LEVEL, Fit
from app.stats.item_score import ItemModel

Floats = NDArray[np.float64]

FORMAT = 1


def describe(design: Design, fit: Fit) -> dict[str, Any]:
    """The whole model: judges, panel, systems, fixed effects, variances, optimiser, diagnostics."""
    evidence, criterion = design.evidence, design.evidence.criterion
    scale = {"low": criterion.scale.low, "high": criterion.scale.high}
    return {
        "format": FORMAT,
        "kind": evidence.kind,
        "criterion": criterion.name,
        "scale": scale | {"higher_is_better": criterion.higher_is_better},
        "level": LEVEL,
        "seed": fit.seed,
        "simulated": evidence.simulated,
        "rubric_version": design.rubric_version,
        "judges": _judges(design, fit),
        "panel": _panel(design, fit),
        "systems": _systems(design, fit),
        "fixed_effects": _fixed_effects(fit),
        "variance_components": _variances(design, fit),
        "optimiser": _optimiser(fit),
        "item": _item(fit.item, design) if fit.item else None,
        "folds": [_fold(item, design) for item in fit.fold_items],
        "conformal": fit.conformal,
        "tie_width": fit.tie_width,
        "refused": [{"reason": r.reason.value, "sentence": r.sentence} for r in fit.refusals],
        "diagnostics": _diagnostics(design, fit),
        "warnings": warnings(design, fit),
    }


def _judges(design: Design, fit: Fit) -> list[dict[str, Any]]:
    out, panel = [], fit.panel
    for j, judge in enumerate(design.evidence.judges):
        row: dict[str, Any] = {
            "judge_version_id": str(int(design.evidence.judge_version_ids[j])),
            "name": judge.name, "family": judge.family, "version": judge.digest(), "model": judge.model,
            "prompt_version": judge.prompt_version, "uses_expected": bool(design.uses_expected[j]),
        }  # fmt: skip
        if panel is not None:
            row |= {
                "used": bool(panel.used[j]), "reason": panel.reason[j], "units": int(panel.units[j]),
                "mean": float(panel.mean[j]), "sd": float(panel.sd[j]), "loading": float(panel.loading[j]),
                "repeat_variance": _number(panel.repeat_variance[j]),
                "mean_inverse_draws": float(panel.mean_inverse_draws[j]),
            }  # fmt: skip
        if design.signed:
            row["position"] = _position(design, j)
        out.append(row)
    return out


def _position(design: Design, j: int) -> dict[str, Any]:
    found = design.positions[j]
    half = 1.96 * found.se
    return {
        "effect": found.effect if found.identified else None,
        "interval": [found.effect - half, found.effect + half] if found.identified else None,
        "removed": float(design.position[j]), "verdicts": found.verdicts, "units": found.units,
        "status": "identified" if found.identified else "not_identified", "why": found.why,
    }  # fmt: skip


def _panel(design: Design, fit: Fit) -> dict[str, Any] | None:
    panel = fit.panel
    if panel is None or fit.systems is None:
        return None
    names = [judge.name for judge in design.evidence.judges]
    used = np.flatnonzero(panel.used)
    strangers = [
        [names[a], names[b]] for k, a in enumerate(used) for b in used[k + 1 :] if panel.overlaps[a, b] == 0
    ]
    return {
        "covariance": _table(panel.covariance), "consensus_mean": panel.consensus_mean,
        "consensus_slope": panel.consensus_slope, "mean_correlation": panel.mean_correlation,
        "never_met": strangers, "assumed_reliability": panel.assumed_reliability, "weak": panel.weak,
        "iterations": panel.iterations, "converged": panel.converged,
        "within_systems": fit.systems.within, "between_systems": fit.systems.between,
    }  # fmt: skip


def _systems(design: Design, fit: Fit) -> list[dict[str, Any]]:
    evidence, systems = design.evidence, fit.systems
    if systems is None:
        return []
    graded = design.n_human > 0
    anchors = np.bincount(evidence.system[graded], minlength=len(evidence.systems))
    if design.signed:
        anchors += np.bincount(evidence.other_system[graded], minlength=len(evidence.systems))
    return [
        {
            "name": name, "family": evidence.system_families[s], "units": int(systems.units[s]),
            "anchors": int(anchors[s]), "mean": float(systems.mean[s]),
            "variance": float(systems.variance[s]),
        }
        for s, name in enumerate(evidence.systems)
    ]  # fmt: skip


_MEANS = {
    "intercept": "the human grade of an average unit",
    "panel": "human points per point of the panel, once its noise is taken out",
    "between_systems": "what the panel's differences between systems weigh more than those within a system",
    "length": "human points per standard deviation of log length, at the same panel score",
}


def _fixed_effects(fit: Fit) -> list[dict[str, Any]]:
    item = fit.item
    if item is None:
        return []
    quantile = float(stats.t.ppf((1 + LEVEL) / 2, item.freedom))
    out = []
    for k, name in enumerate(item.names):
        estimate, se = float(item.fit.coefficients[k]), float(np.sqrt(item.fit.covariance[k, k]))
        out.append({
            "name": name, "meaning": _MEANS[name], "estimate": estimate, "standard_error": se,
            "interval": [estimate - quantile * se, estimate + quantile * se], "freedom": item.freedom,
            "pulled_to": float(item.prior_mean[k]), "prior_sd": _number(item.prior_sd[k]),
            "unpulled": float(item.unpulled[k]), "unpulled_standard_error": float(item.unpulled_se[k]),
        })  # fmt: skip
    return out


def _variances(design: Design, fit: Fit) -> list[dict[str, Any]]:
    if fit.item is None:
        return []
    found = fit.item.fit
    values = {
        "residual": found.residual_variance, "prompt": found.prompt_spread, "system": found.system_variance,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for name, value in values.items():
        if name == "prompt" and design.signed:
            continue
        interval = fit.variance_intervals.get(name)
        rows.append({
            "name": name, "variance": value, "sd": float(np.sqrt(value)), "singular": name in found.singular,
            "interval": None if interval is None else [_number(end) for end in interval],
        })  # fmt: skip
    annotator = {"name": "annotator", "variance": _number(design.annotator_variance), "singular": False}
    sd, ends = None, None
    if np.isfinite(design.annotator_variance):
        freedom = design.annotator_freedom
        sd = float(np.sqrt(design.annotator_variance))
        tails = np.array([(1 + LEVEL) / 2, (1 - LEVEL) / 2])
        ends = (freedom * design.annotator_variance / np.asarray(stats.chi2.ppf(tails, freedom))).tolist()
    return [*rows, annotator | {"sd": sd, "interval": ends}]


def _optimiser(fit: Fit) -> dict[str, Any] | None:
    if fit.item is None:
        return None
    found = fit.item.fit
    return {
        "criterion": "-2 log restricted likelihood", "value": found.reml, "evaluations": found.evaluations,
        "gradient_norm": found.gradient_norm, "converged": found.converged, "message": found.message,
        "singular": list(found.singular),
    }  # fmt: skip


def _item(item: ItemModel, design: Design) -> dict[str, Any]:
    """What predicting one unit takes."""
    found = item.fit
    return _fold(item, design) | {
        "covariance": _table(found.covariance), "residual_variance": found.residual_variance,
        "prompt_variance": found.prompt_spread, "system_variance": found.system_variance,
        "annotator_variance": _number(item.annotator_variance), "thin_panel": item.thin_panel,
        "low_score": item.low_score, "high_score": item.high_score, "freedom": item.freedom,
        "anchors": item.anchors, "prompts": item.prompts,
    }  # fmt: skip


def _fold(item: ItemModel, design: Design) -> dict[str, Any]:
    return {
        "names": list(item.names),
        "anchored": [design.evidence.systems[s] for s in item.anchored],
        "coefficients": [float(c) for c in item.fit.coefficients],
        "length_mean": item.length_mean,
        "length_sd": item.length_sd,
    }


def _diagnostics(design: Design, fit: Fit) -> dict[str, Any]:
    evidence = design.evidence
    anchors = (design.n_human > 0) & np.isfinite(fit.scores.score)
    width = 1.0 if design.signed else evidence.criterion.scale.high - evidence.criterion.scale.low
    out: dict[str, Any] = {
        "units": design.units, "judged": int(np.isfinite(fit.scores.score).sum()),
        "anchors": int(anchors.sum()), "anchored_prompts": len(np.unique(evidence.prompt[anchors])),
        "human_grades": int(design.n_human.sum()), "annotators": len(evidence.annotators),
        "double_rated": int((design.n_human > 1).sum()), "verdicts_left_out": dict(design.left_out),
        "ambiguous_answers": int(evidence.ambiguous), "judges_saturated": _saturation(design),
        "top_box": _top_box(design),
    }  # fmt: skip
    if fit.item is None:
        return out
    human, known = design.human_mean, anchors & np.isfinite(fit.out_of_fold)
    error, raw = (fit.out_of_fold - human)[known], (design.raw_mean - human)[known]
    out |= {
        "held_out_rmse_native": float(width * np.sqrt(np.mean(error**2))),
        "raw_rmse_native": float(width * np.sqrt(np.mean(raw**2))),
        "constant_rmse_native": float(width * np.std(human[known])),
        "held_out_correlation": _correlation(fit.out_of_fold[known], human[known]),
        "human_reliability": _human_reliability(design, anchors),
        "outside_anchored_range": float(fit.full.extrapolates[np.isfinite(fit.scores.score)].mean()),
        "cross_fitted_over": len(fit.fold_items),
    }
    return out


def _saturation(design: Design) -> float:
    """The larger share of cells at one end of the scale."""
    low, high = (-1.0, 1.0) if design.signed else (0.0, 1.0)
    if design.signed or not len(design.value):
        return 0.0
    return float(max((design.value <= low + 1e-9).mean(), (design.value >= high - 1e-9).mean()))


def _top_box(design: Design) -> float:
    if design.signed or not len(design.evidence.h_value):
        return 0.0
    return float((design.inner(design.evidence.h_value) >= 1.0 - 1e-9).mean())


def _human_reliability(design: Design, anchors: NDArray[np.bool_]) -> float | None:
    """Share of one human grade's variance that other humans share; None unless units were double-rated."""
    if not np.isfinite(design.annotator_variance):
        return None
    counts = design.n_human[anchors]
    total = float(np.var(design.human_mean[anchors], ddof=1))
    shared = max(total - design.annotator_variance * float(np.mean(1.0 / counts)), 0.0)
    return shared / max(shared + design.annotator_variance, 1e-12)


def _correlation(a: Floats, b: Floats) -> float | None:
    if len(a) < 3 or a.std() < 1e-12 or b.std() < 1e-12:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def warnings(design: Design, fit: Fit) -> list[str]:
    """Sentences that hold for every score of this calibration."""
    said = []
    saturated, top = _saturation(design), _top_box(design)
    if saturated > limits.SATURATED:
        said.append(
            f"{saturated:.0%} of the verdicts are at one end of the scale: small differences are hidden"
        )
    if top > limits.TOP_BOX:
        said.append(
            f"{top:.0%} of the human grades are the best possible: intervals near the top are too wide"
        )
    if fit.panel is not None and fit.panel.weak:
        said.append("the judges hardly agree with each other, so the panel carries little information")
    if fit.panel is not None and fit.panel.assumed_reliability:
        said.append(
            "no two judges scored the same answer, so how noisy their scores are is assumed, not measured"
        )
    if fit.item is not None:
        said += _about_item(design, fit, fit.item)
    return said


def _about_item(design: Design, fit: Fit, item: ItemModel) -> list[str]:
    said = []
    known = (design.n_human > 0) & np.isfinite(fit.out_of_fold)
    rho = _correlation(fit.out_of_fold[known], design.human_mean[known])
    if rho is None or rho < 1.0 / np.sqrt(max(known.sum() - 2, 1)):
        said.append("held out, the calibrated scores do not follow the humans: rely on human grades alone")
    if "between_systems" not in item.names:
        said.append(
            f"{len(item.anchored)} systems have anchors: 5 are needed to measure whether the panel sees "
            "differences between systems as it sees those within one"
        )
    if not np.isfinite(item.annotator_variance):
        said.append("too few answers have two human grades to tell annotators' noise from quality")
    return said


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _table(matrix: Floats) -> list[list[float]]:
    rows: Sequence[Sequence[float]] = matrix.tolist()
    return [list(row) for row in rows]
