"""What grades that somebody waits for cost: it counts in the project's budget of the day, which is hard."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from app.domain.judging import Unscored, UnscoredReason
from app.domain.problems import BudgetSpent
from app.grading.purse import OutOfBudget, Purse, Purses
from app.grading.results import SeatOutcome
from app.storage.database import Database
from app.storage.statements import Insert, Row
from app.storage.writer import merge

log = structlog.get_logger(__name__)

DAY_SPENT = "the project's budget of the day does not cover this call"
_REFUSED_FOR_S = 1.0  # after a refusal, grades are refused for so long before anything of them is recorded
_IDLE_S = 1.0


@dataclass(slots=True)
class GradePermit:
    """The leave for all attempts of one grade; ``rows`` book what they cost."""

    of_today: Callable[[], Purse]
    refused: Callable[[], None]
    rested: Callable[[], None]
    rows: dict[Insert, list[Row]] = field(default_factory=dict)
    _drawn: list[tuple[float, Purse]] = field(default_factory=list)

    async def begin(self, worst_usd: float) -> None:
        """See `app.judges.judge.Permit.begin`; raises `OutOfBudget`."""
        if not worst_usd:
            return
        purse = self.of_today()
        try:
            await purse.draw(worst_usd)
        except OutOfBudget:
            self.refused()
            raise
        self._drawn.append((worst_usd, purse))

    def ended(self, worst_usd: float, cost_usd: float, suspect_usd: float) -> None:
        """The cost is booked with the grade's verdicts."""
        if not worst_usd:
            return
        drawn = next(one for one in self._drawn if one[0] == worst_usd)
        self._drawn.remove(drawn)
        merge(self.rows, drawn[1].settle(worst_usd, cost_usd, suspect_usd))
        if drawn[1].idle:
            self.rested()


class Wallet:
    """The money of this process for such grades. What it holds and does not need goes back in a second."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        spawn: Callable[[Coroutine[Any, Any, Any], str], object],
    ) -> None:
        self._purses, self._spawn = Purses(db, now), spawn
        self._refused_until: dict[int, float] = {}
        self._tidying = False

    def check(self, project_id: int) -> None:
        """Raise `BudgetSpent` if a call for the project was refused just now."""
        if asyncio.get_running_loop().time() < self._refused_until.get(project_id, 0.0):
            raise BudgetSpent(DAY_SPENT)

    def permit(self, project_id: int) -> GradePermit:
        """The leave for one grade."""

        def refused() -> None:
            self._refused_until[project_id] = asyncio.get_running_loop().time() + _REFUSED_FOR_S

        return GradePermit(lambda: self._purses.of(project_id), refused, self._rested)

    async def close(self) -> None:
        """Return everything that is free."""
        await self._purses.close()

    def _rested(self) -> None:
        if not self._tidying:
            self._tidying = True
            asyncio.get_running_loop().call_later(_IDLE_S, self._tidy)

    def _tidy(self) -> None:
        self._tidying = False
        self._spawn(self._purses.close_idle(), "give back money that is not needed")


def out_of_budget(error: OutOfBudget) -> Unscored:
    """The seat that was not asked, for want of money."""
    return Unscored(UnscoredReason.BUDGET, f"{DAY_SPENT}, which may cost ${error.worst_usd:.6f}")


def refused_by_the_day(outcomes: Sequence[SeatOutcome]) -> bool:
    """Whether no seat was asked because the day's budget covers none."""
    unscored = [one.reply.unscored for one in outcomes if one.reply is not None]
    return bool(unscored) and all(
        one is not None and one.reason is UnscoredReason.BUDGET and one.detail.startswith(DAY_SPENT)
        for one in unscored
    )
