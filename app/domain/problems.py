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
