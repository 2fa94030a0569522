"""The service's background task: carries out queued calibrations, one after the other."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from app.calibration.calibrate import ComputeElsewhere, carry_out, utc_now
from app.calibration.worker import FitProcess
from app.domain.calibration import RunStatus
from app.storage import calibrations
from app.storage.calibrations import CalibrationRun
from app.storage.database import Database

Ended = Callable[[CalibrationRun, RunStatus, float], None]
"""Told of a run, how it ended, and the seconds it took."""


async def run_queued_calibrations(
    db: Database,
    *,
    elsewhere: ComputeElsewhere | None = None,
    now: Callable[[], datetime] = utc_now,
    ended: Ended | None = None,
) -> int:
    """Carry out every queued run, oldest first; returns how many. ``ended`` is told of every end.

    ``elsewhere`` None fits in a child process, which lives until the queue is empty.
    """
    if elsewhere is None:
        async with FitProcess() as process:
            return await run_queued_calibrations(db, elsewhere=process, now=now, ended=ended)
    count = 0
    while (run := await calibrations.claim_calibration(db, now=now())) is not None:
        began = monotonic()
        status = await carry_out(db, run, elsewhere=elsewhere, now=now)
        if ended is not None:
            ended(run, status, monotonic() - began)
        count += 1
    return count


class CalibrationRunner:
    """Runs what is queued: at once when woken, else every ``poll_s`` seconds.

    Polling finds what other processes queued, and what dead ones left running.
    """

    def __init__(
        self,
        db: Database,
        *,
        elsewhere: ComputeElsewhere | None = None,
        poll_s: float = 5.0,
        now: Callable[[], datetime] = utc_now,
        ended: Ended | None = None,
        broke: Callable[[Exception], None] | None = None,
    ) -> None:
        self._db, self._elsewhere, self._poll_s, self._now = db, elsewhere, poll_s, now
        self._ended, self._broke = ended, broke
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def run_forever(self) -> None:
        """Until cancelled, which stops a running fit; its run is queued again by whoever starts next.

        A storage failure is told to ``broke``, and the queue looked at again after ``poll_s``.
        """
        while True:
            self._woken.clear()
            try:
                await calibrations.requeue_abandoned_calibrations(self._db, now=self._now())
                await run_queued_calibrations(
                    self._db, elsewhere=self._elsewhere, now=self._now, ended=self._ended
                )
            except Exception as error:
                if self._broke is not None:
                    self._broke(error)
            try:
                await asyncio.wait_for(self._woken.wait(), self._poll_s)
            except TimeoutError:
                continue
