"""Rubrics as callers use them: put, read, and the newest version at hand for every grade."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.domain.problems import NotFound
from app.domain.projects import Project
from app.domain.rubrics import Rubric, RubricVersion
from app.storage import rubrics
from app.storage.database import Database
from app.storage.paging import Page

# Another process may put a new version: it takes this long until this one grades with it.
REMEMBERED_FOR = timedelta(seconds=2)
_MOST_REMEMBERED = 1_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Rubrics:
    """The rubrics of all projects."""

    def __init__(self, db: Database, now: Callable[[], datetime] = _utc_now) -> None:
        self._db, self._now = db, now
        self._latest: dict[tuple[int, str], tuple[RubricVersion, datetime]] = {}

    async def put(self, project: Project, rubric: Rubric) -> tuple[RubricVersion, bool]:
        """The version with this content, and whether it is new."""
        version, new = await rubrics.put_rubric(self._db, project.id, rubric, now=self._now())
        self._latest.pop((project.id, rubric.name), None)
        return version, new

    async def latest(self, project: Project, name: str) -> RubricVersion:
        """The newest version; NotFound if there is no such rubric."""
        known = self._latest.get((project.id, name))
        now = self._now()
        if known is not None and now < known[1]:
            return known[0]
        if known is not None:  # whoever comes while we ask need not ask too
            self._latest[project.id, name] = (known[0], now + REMEMBERED_FOR)
        found = await rubrics.get_rubric(self._db, project.id, name)
        if found is None:
            raise NotFound("rubric", name)
        if len(self._latest) >= _MOST_REMEMBERED:
            self._latest.clear()
        self._latest[project.id, name] = (found, now + REMEMBERED_FOR)
        return found

    async def version(self, project: Project, name: str, version: int) -> RubricVersion:
        """That version; NotFound if there is none."""
        found = await rubrics.get_rubric(self._db, project.id, name, version)
        if found is None:
            raise NotFound("rubric version", f"{name} {version}")
        return found

    async def list(self, project: Project, limit: int, cursor: str | None) -> Page[RubricVersion]:
        """The newest version of each rubric, by name."""
        return await rubrics.list_rubrics(self._db, project.id, limit=limit, cursor=cursor)

    async def versions(self, project: Project, name: str) -> tuple[RubricVersion, ...]:
        """Every version, oldest first; NotFound if there is no such rubric."""
        found = await rubrics.list_rubric_versions(self._db, project.id, name)
        if not found:
            raise NotFound("rubric", name)
        return found
