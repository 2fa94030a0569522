"""What a quality table of a criterion can be broken down by, and which systems it has."""

from dataclasses import dataclass

from app.reporting.quality_report import Quality


@dataclass(frozen=True, slots=True)
class Choices:
    """Names in alphabetical order; ``calibrated`` says whether there is a calibration to read them from.

    Without one both are empty: a table then has one row per system.
    """

    calibrated: bool
    systems: tuple[str, ...]
    strata: tuple[str, ...]


async def choices(quality: Quality, project_id: int, rubric: str, criterion: str) -> Choices:
    """Read them from the newest calibration that is done."""
    ready = await quality.ready(project_id, rubric, criterion)
    if ready is None:
        return Choices(False, (), ())
    frame = ready.units.frame
    return Choices(True, tuple(sorted(frame.systems)), tuple(sorted(frame.stratum_values)))
