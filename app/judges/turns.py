"""Whose turn it is: the urgent before the rest, and projects in fair shares within each."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lane:
    """On whose behalf a judge is asked. Somebody waits for what is ``urgent``; batches are not."""

    project_id: int = 0
    urgent: bool = True


NOBODYS = Lane()


@dataclass(slots=True)
class _Shares(Generic[T]):
    """Queues of projects; the one that was served least goes next (start-time fair queueing, Goyal 1996)."""

    queues: dict[int, deque[tuple[float, T]]] = field(default_factory=dict)
    served: dict[int, float] = field(default_factory=dict)

    def push(self, project: int, cost: float, waiting: T) -> None:
        queue = self.queues.get(project)
        if queue is None:
            queue = self.queues[project] = deque()
            # Who was away has saved nothing up.
            least = min((self.served[other] for other in self.queues if other in self.served), default=0.0)
            self.served[project] = max(self.served.get(project, 0.0), least)
        queue.append((cost, waiting))

    def next(self) -> int | None:
        return min(self.queues, key=lambda project: (self.served[project], project), default=None)

    def pop(self, project: int) -> T:
        queue = self.queues[project]
        cost, waiting = queue.popleft()
        self.served[project] += cost
        if not queue:
            del self.queues[project]
            if not self.queues:
                self.served.clear()
        return waiting


class Turns(Generic[T]):
    """Who waits, in the order in which they are to be served."""

    def __init__(self) -> None:
        self._urgent, self._rest = _Shares[T](), _Shares[T]()

    def push(self, lane: Lane, cost: float, waiting: T) -> None:
        """Queue up; ``cost`` is what counts as a project's share, in any unit."""
        (self._urgent if lane.urgent else self._rest).push(lane.project_id, cost, waiting)

    @property
    def urgent(self) -> bool:
        """Whether somebody urgent waits."""
        return bool(self._urgent.queues)

    def first(self) -> T | None:
        """Who is to be served next; None if nobody waits."""
        shares = self._urgent if self.urgent else self._rest
        project = shares.next()
        return None if project is None else shares.queues[project][0][1]

    def pop(self) -> T:
        """Serve `first`; there must be one."""
        shares = self._urgent if self.urgent else self._rest
        project = shares.next()
        if project is None:
            raise IndexError("nobody waits")
        return shares.pop(project)

    def __iter__(self) -> Iterator[T]:
        """Those who are served before anybody less urgent, in no order."""
        shares = self._urgent if self.urgent else self._rest
        for queue in shares.queues.values():
            for _, waiting in queue:
                yield waiting

    def __bool__(self) -> bool:
        return self.urgent or bool(self._rest.queues)
