"""Lists of what happened: grades, imports and calibration runs, newest first."""

from app.domain.calibration import Calibration
from app.domain.ids import read_id, show_id
from app.domain.problems import NotFound
from app.storage import activity, calibrations
from app.storage.activity import GradeHead, ImportHead
from app.storage.database import Database
from app.storage.paging import Page

__all__ = [
    "GradeHead",
    "ImportHead",
    "calibration_run",
    "calibration_runs",
    "recent_grades",
    "recent_imports",
]

PER_PAGE = 50


async def recent_grades(db: Database, project_id: int, cursor: str | None = None) -> Page[GradeHead]:
    """Grades without what their seats said."""
    return await activity.list_grades(db, project_id, limit=PER_PAGE, cursor=cursor)


async def recent_imports(db: Database, project_id: int, cursor: str | None = None) -> Page[ImportHead]:
    """Imports of recorded verdicts."""
    return await activity.list_imports(db, project_id, limit=PER_PAGE, cursor=cursor)


async def calibration_runs(
    db: Database, project_id: int, *, rubric: str | None = None, cursor: str | None = None
) -> Page[Calibration]:
    """Calibrations, of one rubric if it is named."""
    return await calibrations.list_calibrations(db, project_id, rubric=rubric, limit=PER_PAGE, cursor=cursor)


async def calibration_run(db: Database, project_id: int, shown_id: str) -> Calibration:
    """One calibration by its public id; NotFound if the project has none of that id."""
    found = await calibrations.get_calibration(db, project_id, read_id("c", shown_id))
    if found is None:
        raise NotFound("calibration", show_id("c", read_id("c", shown_id)))
    return found
