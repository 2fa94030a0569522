"""What a project's calls may take of all providers together, kept like the providers' own limits."""

import asyncio
from collections.abc import Mapping
from random import Random

import structlog

from app.domain.rates import RateKind, project_scope
from app.judges.pool import Leases, Pool
from app.judges.turns import Lane

log = structlog.get_logger(__name__)

REMEMBERED_S = 2.0  # a changed limit is heard of within this time


class ProjectRates:
    """The pools of the projects that have limits. What these are is asked again every few seconds."""

    def __init__(self, leases: Leases, rng: Random) -> None:
        self._leases, self._rng = leases, rng
        self._pools: dict[int, Pool] = {}
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def take(self, needs: Mapping[RateKind, float], lane: Lane, deadline: float) -> None:
        """As `Pool.take` of the lane's project; at once if it has no limits."""
        await self._hear()
        pool = self._pools.get(lane.project_id)
        if pool is not None:
            await pool.take(needs, lane, deadline)

    def settle(self, back: Mapping[RateKind, float], lane: Lane) -> None:
        """As `Pool.settle`."""
        pool = self._pools.get(lane.project_id)
        if pool is not None:
            pool.settle(back)

    async def _hear(self) -> None:
        """Only the first question is waited for: later ones are answered while calls go on."""
        loop = asyncio.get_running_loop()
        if self._asked_at is None or loop.time() - self._asked_at >= REMEMBERED_S:
            first, self._asked_at = self._asked_at is None, loop.time()
            self._asking = loop.create_task(self._ask(), name="limits of projects")
            if first:
                await asyncio.shield(self._asking)
        elif not self._pools and self._asking is not None and not self._asking.done():
            await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        try:
            found = await self._leases.of_projects()
        except Exception as error:  # the database may be away: what was known holds
            log.warning("limits of projects are not known", exc_info=error)
            return
        for project_id, pool in self._pools.items():
            pool.keep_to(found.get(project_id, {}))
        for project_id in found.keys() - self._pools.keys():
            pool = Pool(self._leases, project_scope(project_id), rng=self._rng, whose="the project's")
            pool.keep_to(found[project_id])
            self._pools[project_id] = pool
