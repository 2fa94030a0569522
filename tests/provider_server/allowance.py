"""Limits that the server enforces: in no minute more requests, nor more tokens, than a model allows."""

from collections import deque
from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Allowance:
    """Counts by a sliding window of ``window_s``: the strictest way. None is no limit."""

    requests: int | None
    tokens: int | None
    window_s: float = 60.0
    served: deque[tuple[float, int]] = field(default_factory=deque)
    spent: int = 0
    turned_away: int = 0

    def admit(self, tokens: int, now: float) -> float | None:
        """Count a call of so many tokens; if it is too much, the seconds to wait."""
        while self.served and self.served[0][0] <= now - self.window_s:
            self.spent -= self.served.popleft()[1]
        over = self.requests is not None and len(self.served) >= self.requests
        if over or (self.tokens is not None and self.spent + tokens > self.tokens):
            self.turned_away += 1
            return self.served[0][0] + self.window_s - now if self.served else self.window_s
        self.served.append((now, tokens))
        self.spent += tokens
        return None

    def headers(self, *, anthropic: bool) -> Headers:
        """What providers say of their limits with every reply."""
        found: list[tuple[str, str]] = []
        counted = (("requests", self.requests, len(self.served)), ("tokens", self.tokens, self.spent))
        for kind, limit, used in counted:
            if limit is not None:
                for what, value in (("limit", limit), ("remaining", max(0, limit - used))):
                    name = f"anthropic-ratelimit-{kind}-{what}" if anthropic else f"x-ratelimit-{what}-{kind}"
                    found.append((name, str(value)))
        return tuple(found)
