"""Every judge at a glance: its main biases under one criterion, from the newest calibration that tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.domain.ids import show_id
from app.reporting.bias_report import ToldEffect, told_effect
from app.reporting.bias_words import sentence
from app.storage.calibrations import list_calibrations
from app.storage.database import Database

GLANCED = ("severity", "discrimination", "agreement", "own_family")
_RUNS_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class Glance:
    """``judges`` maps a judge's name and version digest to its effects by name; None without a calibration.

    ``effective_judges`` is how many independent judges a panel of three is worth.
    """

    calibration_id: str | None
    calibrated_at: datetime | None
    level: float | None
    judges: Mapping[tuple[str, str], Mapping[str, ToldEffect]]
    effective_judges: float | None


async def roster_glance(db: Database, project_id: int, rubric: str, criterion: str) -> Glance:
    """Read the newest calibration of the criterion that has judges' biases."""
    runs = await list_calibrations(db, project_id, rubric=rubric, criterion=criterion, limit=_RUNS_LOOKED_AT)
    run = next((one for one in runs.items if "bias" in one.model), None)
    if run is None:
        return Glance(None, None, None, {}, None)
    bias = run.model["bias"]
    return Glance(
        calibration_id=show_id("c", run.id),
        calibrated_at=run.finished_at,
        level=bias["level"],
        judges={
            (entry["name"], entry["judge_version"]): {
                name: told_effect(
                    name, entry["effects"][name], sentence(name, entry["effects"][name], entry["name"])
                )
                for name in GLANCED
                if name in entry["effects"]
            }
            for entry in bias["judges"]
        },
        effective_judges=bias["panel"]["effective"]["estimate"],
    )
