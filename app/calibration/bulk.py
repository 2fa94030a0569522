"""A stored calibration applied to arrays of evidence: for verdicts that came after it was fitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.calibration.design import build_design
from app.calibration.prepared import PreparedCalibration
from app.calibration.snapshot import staged_columns
from app.stats.anchor_reml import AnchorFit
from app.stats.factors import score_units
from app.stats.item_score import ItemModel, Predictions, predict_items
from app.stats.system_scores import SystemScores
from app.storage.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BulkScores:
    """Per unit (n,) of the evidence, on the frame's scale (0 worst to 1 best; pairs -1 to 1).

    ``raw_mean``: of the panel; ``prediction``: by the full fit, with its variances, NaN where no judge
    that the calibration knows gave a verdict; ``out_of_fold``: the mean over the fold fits, as the
    frame has it for prompts without human grades. ``panel_score`` and ``reliability`` are as in the frame;
    ``staged``: what the frame says of panels with two stages, by the evidence's units.
    """

    raw_mean: Floats
    prediction: Predictions
    out_of_fold: Floats
    panel_score: Floats
    reliability: Floats
    staged: Mapping[str, NDArray[Any]]


def apply_to_evidence(prepared: PreparedCalibration, evidence: Evidence) -> BulkScores:
    """Apply a calibration to evidence with its own codes for judges and systems.

    Verdicts under other rubric versions than the calibration's, and of judge versions that it does
    not know, are left out.

    Raises
    ------
    ValueError
        If the calibration has no map to the human scale (it was refused).
    """
    model, factor = prepared.model, prepared.factor
    if model["item"] is None or factor is None:
        raise ValueError("the calibration has no map to the human scale")
    ours = [prepared.judge_codes.get(judge.digest(), -1) for judge in evidence.judges]
    codes = np.array([j if j >= 0 and factor.used[j] else -1 for j in ours], np.int64)
    rows = model["judges"]
    removed = np.array([rows[j].get("position", {}).get("removed", 0.0) if j >= 0 else 0.0 for j in codes])
    expected = np.array([rows[j]["uses_expected"] if j >= 0 else False for j in codes], bool)
    design = build_design(
        evidence, rubric_version=prepared.rubric_version, position=removed, uses_expected=expected
    )
    n = design.units
    keep = codes[design.judge] >= 0 if len(codes) else np.zeros(0, bool)
    scores = score_units(
        factor, unit=design.unit[keep], judge=codes[design.judge[keep]], value=design.value[keep],
        draws=design.draws[keep], units=n,
    )  # fmt: skip
    names = {row["name"]: s for s, row in enumerate(model["systems"])}
    translate = np.array([names.get(name, -1) for name in evidence.systems] + [-1], np.int64)
    system, other = translate[evidence.system], translate[evidence.other_system]
    panel = _systems(model)

    def predict(item: ItemModel) -> Predictions:
        return predict_items(
            item, panel, score=scores.score, reliability=scores.reliability, system=system,
            other_system=other, length=evidence.length, other_length=evidence.other_length,
        )  # fmt: skip

    folds = [predict(_item(model, names, fold)).mean for fold in model["folds"]]
    out_of_fold = np.mean(folds, axis=0) if folds else np.full(n, np.nan)
    return BulkScores(
        raw_mean=design.raw_mean,
        prediction=predict(_item(model, names, model["item"])),
        out_of_fold=out_of_fold,
        panel_score=panel.consensus_mean + panel.consensus_slope * scores.score,
        reliability=scores.reliability,
        staged=staged_columns(design.staged, factor, scores, codes),
    )


def _systems(model: Mapping[str, Any]) -> SystemScores:
    about, rows = model["panel"], model["systems"]
    return SystemScores(
        mean=np.array([row["mean"] for row in rows]), variance=np.array([row["variance"] for row in rows]),
        units=np.array([row["units"] for row in rows], float), within=about["within_systems"],
        between=about["between_systems"], signed=model["kind"] == "pairwise",
        consensus_mean=about["consensus_mean"], consensus_slope=about["consensus_slope"],
    )  # fmt: skip


def _item(model: Mapping[str, Any], names: Mapping[str, int], part: Mapping[str, Any]) -> ItemModel:
    """The stored map with the coefficients of ``part`` (itself, or one fold's)."""
    item = model["item"]
    size, blank = len(part["coefficients"]), np.zeros(0)
    nothing = np.zeros((size, size))
    fit = AnchorFit(
        coefficients=np.array(part["coefficients"]), covariance=np.array(part.get("covariance", nothing)),
        prompt_effect=blank, prompt_variance=blank, prompt_link=np.zeros((0, size)),
        system_variance=item["system_variance"], prompt_spread=item["prompt_variance"],
        residual_variance=item["residual_variance"], reml=0.0, evaluations=0, gradient_norm=0.0,
        converged=True, message="", singular=(),
    )  # fmt: skip
    noise = item["annotator_variance"]
    return ItemModel(
        names=tuple(part["names"]), fit=fit,
        anchored=np.array([names[name] for name in part["anchored"]], np.int64),
        prior_mean=blank, prior_sd=blank, unpulled=blank, unpulled_se=blank,
        signed=model["kind"] == "pairwise", length_mean=part["length_mean"], length_sd=part["length_sd"],
        annotator_variance=np.nan if noise is None else noise, thin_panel=item["thin_panel"],
        low_score=item["low_score"], high_score=item["high_score"], freedom=item["freedom"],
        anchors=item["anchors"], prompts=item["prompts"], rows=None,
    )  # fmt: skip
