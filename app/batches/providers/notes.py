"""Notes on batches at providers, tried again for as long as the database is away."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from app.batches.patience import surely
from app.judges.batching import Standing
from app.storage.database import Database
from app.storage.provider_batches import Claimed, close, leave, note

_GROWTH, _LONGEST = 1.5, 10.0  # of the pause between looks, and its limit, relative to the first


class Notes:
    """``poll`` is the first pause between two looks at a batch; later ones grow."""

    def __init__(self, db: Database, poll: timedelta, now: Callable[[], datetime]) -> None:
        self._db, self._poll, self.now = db, poll, now

    def pause(self, looks: int) -> timedelta:
        """How long to wait after so many looks."""
        return self._poll * min(_GROWTH**looks, _LONGEST)

    async def note(self, one: Claimed, **values: Any) -> None:
        """Put something on record; raises ClaimLost if the batch is another worker's by now."""
        await surely(partial(note, self._db, one, **values))

    async def leave(self, one: Claimed, wait: timedelta, **values: Any) -> None:
        """Nothing more is to be done for it before ``wait`` has passed."""
        await surely(partial(leave, self._db, one, due_at=self.now() + wait, **values))

    async def close(
        self, one: Claimed, standing: Standing, detail: str | None = None, *, suspect: bool = False
    ) -> None:
        """It is over."""
        end = partial(close, self._db, one, standing=standing.value, detail=detail, suspect=suspect)
        await surely(partial(end, now=self.now()))
