"""API keys: made once, shown once, checked in microseconds.

A key reads ``prefix.secret``. The prefix finds it, the HMAC-SHA-256 of the secret under the service's pepper
proves it; a secret has 256 random bits, so that nothing slower is needed.
"""

import hmac
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex, token_urlsafe
from typing import Any

from app.domain.problems import NotAuthenticated, NotFound
from app.domain.projects import ApiKey, PanelPolicy, Project, Scope
from app.storage import keys, projects
from app.storage.database import Database

DEFAULT_PROJECT = "default"
# Another process may revoke a key or make the first one: it takes this long until all have heard of it.
REMEMBERED_FOR = timedelta(seconds=2)
_TOUCHED_EVERY = timedelta(minutes=1)
_MOST_REMEMBERED = 10_000

Spawn = Callable[[Coroutine[Any, Any, Any], str], object]  # runs work that nobody waits for, under a name


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the project and what may be done there. ``key`` is None while there are no keys."""

    project: Project
    scopes: frozenset[Scope]
    key: ApiKey | None = None


@dataclass(slots=True)
class _Remembered:
    caller: Caller
    mac: bytes
    until: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyRing:
    """The keys of the service; ``pepper`` is the secret that stored hashes are useless without."""

    def __init__(
        self,
        db: Database,
        pepper: bytes,
        spawn: Spawn,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._db, self._pepper, self._spawn, self._now = db, pepper, spawn, now
        self._callers: dict[str, _Remembered] = {}
        self._touched: dict[int, datetime] = {}
        self._open: tuple[Caller | None, datetime] | None = None

    async def caller(self, token: str) -> Caller:
        """Who holds ``token``.

        Raises
        ------
        NotAuthenticated
            For a key that was never made, was altered or was revoked: callers cannot tell which.
        """
        prefix, _, secret = token.partition(".")
        known = self._callers.get(prefix)
        now = self._now()
        if known is None or known.until < now:
            if known is not None:  # whoever comes while we ask need not ask too
                known.until = now + REMEMBERED_FOR
            known = await self._look_up(prefix, now)
        if known is None or not hmac.compare_digest(known.mac, self._mac(secret)):
            raise NotAuthenticated("this key is not valid")
        self._touch(known.caller, now)
        return known.caller

    async def open_session(self, token: str, lasts: timedelta) -> str:
        """A value that stands for ``token`` in a browser for that long, or until the key is revoked.

        It names the key and proves that this service made it; the key cannot be had from it.

        Raises
        ------
        NotAuthenticated
            As `caller` does.
        """
        await self.caller(token)
        prefix = token.partition(".")[0]
        expires = f"{int((self._now() + lasts).timestamp()):x}"
        return f"{prefix}~{expires}~{self._session_mac(self._callers[prefix], prefix, expires)}"

    async def session_caller(self, session: str) -> Caller:
        """Who opened ``session``; NotAuthenticated if it is over, altered, or its key was revoked."""
        prefix, _, rest = session.partition("~")
        expires, _, proof = rest.partition("~")
        known, now = self._callers.get(prefix), self._now()
        if known is None or known.until < now:
            if known is not None:  # whoever comes while we ask need not ask too
                known.until = now + REMEMBERED_FOR
            known = await self._look_up(prefix, now)
        if known is None or not hmac.compare_digest(
            proof.encode(), self._session_mac(known, prefix, expires).encode()
        ):
            raise NotAuthenticated("this session is not valid")
        if int(expires, 16) < now.timestamp():
            raise NotAuthenticated("this session is over")
        self._touch(known.caller, now)
        return known.caller

    async def has_keys(self) -> bool:
        """Whether there was ever a key: before, whoever calls from this machine may do everything."""
        return await self.anyone() is None

    async def anyone(self) -> Caller | None:
        """The caller that everybody is while there is no key; None once there is one."""
        now = self._now()
        if self._open is None or self._open[1] < now:
            if self._open is not None:  # whoever comes while we ask need not ask too
                self._open = (self._open[0], now + REMEMBERED_FOR)
            caller = None
            if not await keys.any_key(self._db):
                project = await projects.get_or_create_project(self._db, DEFAULT_PROJECT, now=now)
                caller = Caller(project, frozenset(Scope))
            self._open = (caller, now + REMEMBERED_FOR)
        return self._open[0]

    async def create(self, project: Project, name: str, scopes: frozenset[Scope]) -> tuple[ApiKey, str]:
        """A new key and its token, which is shown this once and never stored."""
        prefix, secret = f"vk{token_hex(6)}", token_urlsafe(32)
        key = await keys.create_key(
            self._db,
            project_id=project.id,
            name=name,
            prefix=prefix,
            mac=self._mac(secret),
            scopes=scopes,
            now=self._now(),
        )
        self.forget()
        return key, f"{prefix}.{secret}"

    async def list(self, project: Project) -> tuple[ApiKey, ...]:
        """The project's keys, oldest first, revoked ones included."""
        return await keys.list_keys(self._db, project.id)

    async def revoke(self, project: Project, key_id: int, shown_id: str) -> None:
        """Make a key useless; NotFound if the project has none of that id."""
        if not await keys.revoke_key(self._db, project.id, key_id, now=self._now()):
            raise NotFound("key", shown_id)
        self.forget()

    async def set_policy(self, project: Project, policy: PanelPolicy) -> Project:
        """Change the project's standing rules for panels."""
        await projects.set_policy(self._db, project.id, policy)
        self.forget()
        return Project(project.id, project.name, policy)

    def signing_secret(self, project_id: int) -> str:
        """The secret that callbacks to this project are signed with; derived, so that it is not stored."""
        message = f"callbacks of project {project_id}".encode()
        return hmac.new(self._pepper, message, "sha256").hexdigest()

    def forget(self) -> None:
        """Look everything up again."""
        self._callers.clear()
        self._open = None

    async def _look_up(self, prefix: str, now: datetime) -> _Remembered | None:
        stored = await keys.find_key(self._db, prefix)
        if stored is None or stored.key.revoked_at is not None:
            self._callers.pop(prefix, None)
            return None
        project = await projects.get_project(self._db, stored.project_id)
        assert project is not None  # keys have a foreign key on it, and projects are never deleted
        found = _Remembered(Caller(project, stored.key.scopes, stored.key), stored.mac, now + REMEMBERED_FOR)
        if len(self._callers) >= _MOST_REMEMBERED:
            self._callers.clear()
        self._callers[prefix] = found
        return found

    def _mac(self, secret: str) -> bytes:
        return hmac.digest(self._pepper, secret.encode(), "sha256")

    def _session_mac(self, known: _Remembered, prefix: str, expires: str) -> str:
        text = f"session of {prefix} until {expires} ".encode()
        return hmac.digest(self._pepper, text + known.mac, "sha256").hex()

    def _touch(self, caller: Caller, now: datetime) -> None:
        key = caller.key
        if key is None or now - self._touched.get(key.id, datetime.min.replace(tzinfo=UTC)) < _TOUCHED_EVERY:
            return
        self._touched[key.id] = now
        self._spawn(keys.touch_key(self._db, key.id, now=now), "note that a key was used")
