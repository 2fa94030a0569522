"""The judges: who is on the roster, which versions of each have been, and how they have been doing."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.domain.judging import JudgeVersion
from app.domain.projects import Project
from app.judges.roster import Roster, RosterEntry
from app.storage.database import Database
from app.storage.health import JudgeHealth, judge_health
from app.storage.judge_versions import list_judge_versions

__all__ = ["RECENT", "JudgeHealth", "JudgeReport", "RosterReport"]

RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """One judge by name. ``entry`` is None for judges that only imports or former rosters know.

    ``current`` is the version that sits on panels now, None where the judge is not enabled; ``health`` has
    every version the project has verdicts of, oldest first, with its calls within `RECENT`.
    """

    name: str
    family: str
    entry: RosterEntry | None
    current: JudgeVersion | None
    health: tuple[JudgeHealth, ...]


class RosterReport:
    """Reports on the judges of a project."""

    def __init__(
        self, db: Database, roster: Roster, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._db, self._roster, self._now = db, roster, now

    async def judges(self, project: Project) -> tuple[JudgeReport, ...]:
        """Every judge on the roster or in the project's verdicts, by name."""
        health = await judge_health(self._db, project.id, since=self._now() - RECENT)
        entries = {entry.config.name: entry for entry in self._roster.entries}
        names = sorted(entries.keys() | {one.judge.name for one in health})
        return tuple(_report(name, entries.get(name), health) for name in names)

    async def knows(self, project: Project, name: str) -> bool:
        """Whether a judge of that name is on the roster or in the project's verdicts."""
        if any(entry.config.name == name for entry in self._roster.entries):
            return True
        return bool(await list_judge_versions(self._db, project.id, name=name))


def _report(name: str, entry: RosterEntry | None, health: tuple[JudgeHealth, ...]) -> JudgeReport:
    versions = tuple(one for one in health if one.judge.name == name)
    current = entry.judge.version if entry is not None and entry.judge is not None else None
    family = entry.config.family if entry is not None else versions[-1].judge.family
    return JudgeReport(name, family, entry, current, versions)
