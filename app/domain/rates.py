"""Allowances that all processes share: requests and tokens a minute, dollars a day."""

from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class RateHolder:
    """A process that took of an allowance within the last minute, and how much."""

    host: str
    pid: int
    used: float
    leased_at: datetime


@dataclass(frozen=True, slots=True)
class RateState:
    """An allowance as it stands.

    ``scope`` names the model at its endpoint; it is empty for what is a project's own, of ``project_id``.
    ``level`` is what could be leased at ``flowed_at``; ``taken`` was leased in all, less what came back;
    ``used`` in the last minute (of dollars: today). ``factor`` is the share of the allowance that flows
    since calls were turned away, of which there were ``turned_away`` in all.
    """

    scope: str
    project_id: int | None
    kind: RateKind
    allowance: float
    level: float
    factor: float
    taken: float
    used: float
    turned_away: int
    flowed_at: datetime
    holders: tuple[RateHolder, ...]


_PROJECT = "project "


def project_scope(project_id: int) -> str:
    """The name of what all calls for a project share."""
    return f"{_PROJECT}{project_id}"


def read_scope(scope: str) -> tuple[str, int | None]:
    """The model's name, or the project's id."""
    number = scope.removeprefix(_PROJECT)
    own = scope.startswith(_PROJECT) and number.lstrip("-").isdecimal()
    return ("", int(number)) if own else (scope, None)
