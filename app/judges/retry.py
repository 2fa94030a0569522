"""When to try a call again, and how long to wait first."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from random import Random

RETRY_STATUSES = frozenset({408, 409, 425, 429})
"""Worth another attempt beside 5xx: time-out, conflict, too early, too many requests."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most ``attempts`` attempts; waits grow from ``first_s`` by doubling up to ``cap_s`` seconds."""

    attempts: int = 5
    first_s: float = 0.5
    cap_s: float = 8.0


def wait_before(policy: RetryPolicy, failed: int, retry_after: float | None, rng: Random) -> float:
    """Seconds to wait after ``failed`` attempts (1 or more).

    Without ``retry_after`` drawn uniformly from zero to the doubling bound ("full jitter"), so that calls
    which failed together do not come back together. With it never less than asked, and a little more, for
    the same reason.
    """
    if retry_after is not None:
        return retry_after + rng.uniform(0.0, min(1.0, 0.1 * retry_after))
    return rng.uniform(0.0, min(policy.cap_s, policy.first_s * 2.0 ** (failed - 1)))


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds a provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    ``now`` is a Unix time, for the date. None where it says nothing that can be understood.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000.0
    said = headers.get("retry-after")
    seconds = _number(said)
    if seconds is not None or said is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def may_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether another attempt may help after this HTTP status; `x-should-retry` has the last word."""
    said = headers.get("x-should-retry")
    if said in ("true", "false"):
        return said == "true"
    return status in RETRY_STATUSES or status >= 500


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value < 1e9 else None
