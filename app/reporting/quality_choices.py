"""What a quality table of a criterion can be broken down by, and which systems it has."""

from dataclasses import dataclass

from app.reporting.quality_report import Quality
from app.storage.tallies import verdict_tallies


@dataclass(frozen=True, slots=True)
class Choices:
    """Names in alphabetical order; ``calibrated`` says whether there is a calibration to read them from.

    Without one both are empty: a table then has one row per system. ``verdicts`` counts those on record
    then, because a table has to be made from each of them; None with a calibration.
    """

    calibrated: bool
    verdicts: int | None
    systems: tuple[str, ...]
    strata: tuple[str, ...]


async def choices(quality: Quality, project_id: int, rubric: str, criterion: str) -> Choices:
    """Read them from the newest calibration that is done."""
    ready = await quality.ready(project_id, rubric, criterion)
    if ready is None:
        counted = await verdict_tallies(quality.db, project_id, rubric, criterion)
        return Choices(False, int(counted.verdicts.sum()), (), ())
    frame = ready.units.frame
    return Choices(True, None, tuple(sorted(frame.systems)), tuple(sorted(frame.stratum_values)))
