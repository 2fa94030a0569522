"""What is wrong with what a caller sent: every problem at once, never just the first."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where.

    ``path`` is a JSON path for a request body, ``row`` a 1-based data row of a file; ``value`` is
    the offending value, shortened by whoever shows it.
    """

    problem: str
    path: str | None = None
    row: int | None = None
    column: str | None = None
    value: object = None


class BadInput(Exception):
    """Input that cannot be accepted, with every problem named.

    ``counts`` has the number of problems by wording where ``problems`` was cut short.
    """

    def __init__(
        self, summary: str, problems: Sequence[Problem] = (), counts: dict[str, int] | None = None
    ) -> None:
        super().__init__(summary)
        self.summary, self.problems, self.counts = summary, tuple(problems), counts or {}


class NotFound(Exception):
    """There is no such thing in this project. ``what`` is our word for it, ``name`` the caller's."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r}")
        self.what, self.name = what, name


class Conflict(Exception):
    """A request that fits its own form, but not what is already stored or running."""


class BudgetSpent(Exception):
    """What was asked may cost more than a budget has left; the words say which."""


class NotPermitted(Exception):
    """Who asks may not do this; the words say what would be needed."""


class NotAuthenticated(Exception):
    """Nobody knows who asks: no key, a wrong one, or one that was revoked."""


class UnsupportedFormat(BadInput):
    """A file of a kind that is not read here, with what to do instead."""


class TooLarge(BadInput):
    """More than is taken, as sent or once unpacked."""


class Unavailable(Exception):
    """Something that the service stands on does not answer; the same request may succeed later."""
