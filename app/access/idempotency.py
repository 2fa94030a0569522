"""The same key and body gets the first answer again: kept for a day."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from app.domain.projects import Project
from app.storage import idempotency
from app.storage.database import Database
from app.storage.idempotency import Claim, Claimed, KeyReused, Replay, StillRunning

__all__ = ["Answers", "Claim", "Claimed", "KeyReused", "Replay", "StillRunning"]

KEPT_FOR = timedelta(days=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Answers:
    """First answers to requests that carry an Idempotency-Key."""

    def __init__(self, db: Database, now: Callable[[], datetime] = _utc_now) -> None:
        self._db, self._now = db, now

    async def claim(self, project: Project, key: str, fingerprint: str) -> Claim:
        """Whether the request is ours to answer, was answered before, or clashes with another."""
        return await idempotency.claim(self._db, project.id, key, fingerprint, now=self._now())

    async def keep(self, claimed: Claimed, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Keep the answer."""
        await idempotency.store_answer(self._db, claimed, status_code=status, headers=headers, body=body)

    async def release(self, claimed: Claimed) -> None:
        """Let the same key be used again: nothing was done."""
        await idempotency.release(self._db, claimed)

    async def forget_old(self) -> int:
        """Forget keys first used more than `KEPT_FOR` ago; returns how many."""
        return await idempotency.forget_keys(self._db, before=self._now() - KEPT_FOR)
