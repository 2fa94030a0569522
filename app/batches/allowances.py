"""What a project may take of the providers, and how all limits stand that processes share."""

from collections.abc import Callable
from datetime import UTC, datetime

from app.domain.batches import Spending
from app.domain.projects import Project, ProjectLimits
from app.domain.rates import RateState
from app.storage import budgets, projects
from app.storage.database import Database
from app.storage.rate_states import rate_states


class Allowances:
    """The use case. Every process hears of what is changed within seconds."""

    def __init__(self, db: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db, self._now = db, now

    async def limits(self, project: Project) -> ProjectLimits:
        """Requests and tokens that the project's calls may take in a minute."""
        return (await projects.limits_of_projects(self._db, project.id)).get(project.id, ProjectLimits())

    async def set_limits(self, project: Project, limits: ProjectLimits) -> None:
        """Replace them."""
        await projects.set_limits(self._db, project.id, limits)

    async def today(self, project: Project) -> Spending:
        """What the project spent today (UTC), and what a day may cost."""
        return await budgets.spending_of_day(self._db, project.id, now=self._now())

    async def set_daily_budget(self, project: Project, limit: float | None) -> Spending:
        """What the project may cost in a day, today included; None: no limit."""
        await budgets.set_daily_limit(self._db, project.id, limit, now=self._now())
        return await self.today(project)

    async def rates(self, project: Project | None = None) -> tuple[RateState, ...]:
        """Every allowance in use and who takes of it; of projects' own only this one's (None: all)."""
        return await rate_states(self._db, None if project is None else project.id)
