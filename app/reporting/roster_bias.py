"""Every judge at a glance: all its biases under one criterion, from the newest calibration that tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.calibration import RunStatus
from app.domain.ids import show_id
from app.reporting.bias_report import ToldEffect, refusals_of, told_effect
from app.reporting.bias_words import sentence
from app.reporting.detail_words import adds_sentence
from app.reporting.panel_weights import panel_weights
from app.storage.calibrations import newest_told
from app.storage.database import Database


@dataclass(frozen=True, slots=True)
class Glance:
    """``judges`` maps a judge's name and version digest to its effects by name, ``adds`` among them: what it
    adds to the panel. ``weights`` maps version digests to their weights where all sit. Empty without a
    calibration.

    ``status``: calibrated, refused (``refusals`` say why), running or not_calibrated. ``effective_judges`` is
    how many independent judges a panel of three is worth.
    """

    status: str
    calibration_id: str | None = None
    calibrated_at: datetime | None = None
    level: float | None = None
    judges: Mapping[tuple[str, str], Mapping[str, ToldEffect]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    effective_judges: float | None = None
    refusals: tuple[str, ...] = ()


async def roster_glance(db: Database, project_id: int, rubric: str, criterion: str) -> Glance:
    """Read the newest calibration of the criterion that has judges' biases."""
    run, waiting = await newest_told(db, project_id, rubric=rubric, criterion=criterion)
    if run is None or "bias" not in run.model:
        return Glance("running" if waiting else "not_calibrated")
    bias = run.model["bias"]
    adds = {one["judge_version"]: one["adds"] for one in run.model.get("judge_details", ())}
    judges = {}
    for entry in bias["judges"]:
        name, version = entry["name"], entry["judge_version"]
        judges[name, version] = {
            key: told_effect(key, told, sentence(key, told, name)) for key, told in entry["effects"].items()
        }
        if version in adds:
            judges[name, version]["adds"] = told_effect(
                "adds", adds[version], adds_sentence(adds[version], name)
            )
    return Glance(
        status="refused" if run.status is RunStatus.REFUSED else "calibrated",
        calibration_id=show_id("c", run.id),
        calibrated_at=run.finished_at,
        level=bias["level"],
        judges=judges,
        weights=panel_weights(run),
        effective_judges=bias["panel"]["effective"]["estimate"],
        refusals=refusals_of(run),
    )
