"""Many grade requests as one job: what it is, how far it is, what it may spend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.stopping import ComparisonSoFar


class BatchStatus(StrEnum):
    """Where a batch stands. Only a running one is worked on; the last three are for good.

    While it is being checked, its lines are read and nothing is graded or paid.
    """

    CHECKING = "checking"
    RUNNING = "running"
    PAUSED = "paused"
    OUT_OF_BUDGET = "out_of_budget"
    DONE = "done"
    DECIDED = "decided"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more will be graded."""
        return self in (BatchStatus.DONE, BatchStatus.DECIDED, BatchStatus.CANCELLED)


BATCH_SPENT = "its budget does not cover another call; top it up to go on"
DAY_SPENT = "the project's budget of the day does not cover another call; it goes on when there is one"


class BatchMode(StrEnum):
    """How judges are called: one by one, or by the providers' batch endpoints, at half the price."""

    LIVE = "live"
    BATCH = "batch"


class Fallback(StrEnum):
    """What becomes of a seat whose request a provider's batch did not answer: it is asked one by one, waits
    for another batch, or stays unscored."""

    ORDINARY = "ordinary"
    BATCH = "batch"
    NONE = "none"


class Reuse(StrEnum):
    """Whether a seat may take the verdict that the same judge gave on the same texts before."""

    NEVER = "never"
    SAME_PROJECT = "same_project"


@dataclass(frozen=True, slots=True)
class JudgeShare:
    """What a judge will probably cost, over ``seats``. ``by_batch``: by its provider's batches, at
    ``price_factor`` of the price of ordinary calls; ``at_worst_usd`` is then about what has to be set aside
    to send all its requests at once."""

    judge: str
    by_batch: bool
    price_factor: float
    seats: float
    expected_usd: float
    low_usd: float
    high_usd: float
    at_worst_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a batch will probably cost, in US dollars. ``low`` and ``high`` are a range, no bound."""

    seats: int
    expected_usd: float
    low_usd: float
    high_usd: float
    judges: tuple[JudgeShare, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What the caller asked beside the items. ``rubrics`` maps names to the versions that are graded by.

    ``more`` is kept as it is, for ways of grading that other modules know.
    """

    mode: BatchMode = BatchMode.LIVE
    reuse: Reuse = Reuse.NEVER
    rubrics: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fallback(self) -> Fallback:
        """For seats that a provider's batch did not answer."""
        return Fallback(self.more.get("fallback", Fallback.ORDINARY))


@dataclass(frozen=True, slots=True)
class Spending:
    """Dollars of a budget. ``held`` is set aside for calls under way, ``suspect`` is what calls of workers
    that died may have cost at most. ``limit`` is None where there is none."""

    limit_usd: float | None = None
    spent_usd: float = 0.0
    held_usd: float = 0.0
    suspect_usd: float = 0.0

    @property
    def left_usd(self) -> float | None:
        """What may still be set aside; None without a limit."""
        if self.limit_usd is None:
            return None
        return max(0.0, self.limit_usd - self.spent_usd - self.held_usd - self.suspect_usd)


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Items by how they ended, calls made (retries included), seats that took an earlier verdict, and seats
    of second stages that were not asked."""

    complete: int = 0
    partial: int = 0
    failed: int = 0
    calls: int = 0
    reused: int = 0
    spared: int = 0

    @property
    def settled(self) -> int:
        """Items that are graded or failed."""
        return self.complete + self.partial + self.failed


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands. ``items`` are its requests, ``seats`` what their panels were drawn with at first.

    ``stop_reason`` says in words why it stands still. ``comparison``: how the one stands that ends it once it
    is decided; None if there is none.
    """

    id: int
    project_id: int
    name: str | None
    status: BatchStatus
    stop_reason: str | None
    options: BatchOptions
    estimate: Estimate
    items: int
    chunks: int
    counts: BatchCounts
    spending: Spending
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    comparison: ComparisonSoFar | None = None


@dataclass(frozen=True, slots=True)
class ProviderBatch:
    """A batch at a provider. ``standing`` is what the provider said last, None before it said anything;
    ``done`` and ``failed`` are requests as it counts them, ``answered`` are those with a reply on record,
    ``returned`` those that went another way. ``held_usd`` is set aside for it."""

    id: int
    judge: str
    provider_id: str | None
    state: str
    standing: str | None
    detail: str | None
    requests: int
    done: int
    failed: int
    answered: int
    returned: int
    held_usd: float
    spent_usd: float
    created_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AtProviders:
    """Seats of a batch that wait for their providers: ``queued`` in no batch yet, ``sent`` in one.

    ``due_at``: until when the batches at work have to answer.
    """

    queued: int
    sent: int
    due_at: datetime | None
    batches: tuple[ProviderBatch, ...]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that lives: ``places`` calls at once, of which ``in_flight`` are taken."""

    process_id: int
    host: str
    pid: int
    status: str
    places: int
    in_flight: int
    chunks: int
    calls: int
    started_at: datetime
    seen_at: datetime
