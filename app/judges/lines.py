"""What judges of one provider endpoint share: the client and its connections, the breaker, the limits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, Protocol, TypeVar, cast

from app.judges.breaker import Breaker, BreakerPolicy
from app.judges.config import JudgeConfig
from app.judges.limits import Limits, Slots
from app.judges.pool import Leases
from app.judges.project_rates import ProjectRates
from app.judges.retry import RetryPolicy


class Client(Protocol):
    """What every provider's SDK client can do."""

    def close(self) -> Awaitable[None]: ...


ClientT = TypeVar("ClientT", bound=Client)


@dataclass(slots=True)
class Line(Generic[ClientT]):
    """One provider endpoint (provider, address and key) with all that is shared by those who use it."""

    client: ClientT
    breaker: Breaker
    slots: Slots = field(default_factory=lambda: Slots(1))
    models: dict[str, Limits] = field(default_factory=dict)
    name: str = ""

    def limits(self, config: JudgeConfig) -> Limits:
        """The limits of the judge's model, shared with every judge of that model at this endpoint."""
        limits = self.models.setdefault(config.model, Limits(self.slots, config.max_concurrency))
        limits.tighten(
            max_concurrency=config.max_concurrency,
            requests_per_minute=config.requests_per_minute,
            tokens_per_minute=config.tokens_per_minute,
            usd_per_day=config.usd_per_day,
        )
        return limits


class Lines:
    """The lines of a process. Clients belong to the event loop on which they first call.

    ``rng`` draws the jitter of retries.
    """

    def __init__(
        self,
        *,
        breaker: BreakerPolicy | None = None,
        retries: RetryPolicy | None = None,
        rng: Random | None = None,
    ) -> None:
        self._breaker = breaker or BreakerPolicy()
        self.retries, self.rng = retries or RetryPolicy(), rng or Random()
        self._lines: dict[tuple[str, str | None, str | None], Line[Client]] = {}

    def line(self, config: JudgeConfig, connect: Callable[[JudgeConfig], ClientT]) -> Line[ClientT]:
        """The line a judge calls on; ``connect`` makes the client of the first judge that uses it."""
        key = (config.provider, config.base_url, config.api_key)
        if key not in self._lines:
            # The account is told by the name of its key's variable, the same in every process.
            name = f"{config.provider} {config.base_url or ''} {config.api_key_env or ''}"
            self._lines[key] = Line(connect(config), Breaker(self._breaker), name=" ".join(name.split()))
        return cast(Line[ClientT], self._lines[key])

    def share(self, leases: Leases) -> None:
        """From now on keep to rates, projects' too, together with all other processes that share them."""
        projects = ProjectRates(leases, self.rng)
        for line in self._lines.values():
            for model, limits in line.models.items():
                limits.share(leases, f"{line.name} {model}", self.rng, projects)

    async def close(self) -> None:
        """Close every connection; calls that are under way fail."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            await line.client.close()
