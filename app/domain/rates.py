"""Allowances that all processes share: requests and tokens a minute, dollars a day."""

from dataclasses import dataclass
from enum import StrEnum


class RateKind(StrEnum):
    """What is counted: requests and tokens flow in by the minute, dollars are given once a (UTC) day."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    DOLLARS = "dollars"


@dataclass(frozen=True, slots=True)
class Want:
    """What one process would like of one allowance.

    ``allowance`` is what a minute (of dollars: a day) may bring in all. At least ``least`` makes sense to
    give, if anything is there; a negative ``amount`` gives back. ``ceiling`` is what the provider said is
    left, if that is known.
    """

    kind: RateKind
    allowance: float
    amount: float
    least: float = 0.0
    ceiling: float | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What was given; ``wait_s`` seconds from now there will be more."""

    kind: RateKind
    amount: float
    wait_s: float
