"""What was found wrong in a file: the first thousand rows by name, all of them by count."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.anchoring.cells import WrongCell
from app.domain.problems import BadInput, Problem

KEPT = 1_000


class Findings:
    """Problems as they are found, in any order within a batch of rows; only the first rows are kept.

    ``every`` is told each of them.
    """

    def __init__(self, every: Callable[[Problem], None] | None = None) -> None:
        self._kept: list[Problem] = []
        self._every = every
        self.counts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, problems: Iterable[Problem]) -> None:
        """Take problems in."""
        for problem in problems:
            self.counts[f"{problem.column} {problem.problem}" if problem.column else problem.problem] += 1
            if len(self._kept) < 20 * KEPT:
                self._kept.append(problem)
            if self._every is not None:
                self._every(problem)

    def cells(self, column: str, rows: Sequence[int], raw: Iterable[Any], read: Sequence[Any]) -> set[int]:
        """Take in the cells of a column that could not be read; returns their places in the batch."""
        wrong = {place for place, value in enumerate(read) if type(value) is WrongCell}
        if wrong:
            self.add(
                Problem(read[place].problem, row=rows[place], column=column, value=cell)
                for place, cell in enumerate(raw)
                if place in wrong
            )
        return wrong

    def settle(self) -> None:
        """Between batches: keep the first rows only."""
        if len(self._kept) > 1:
            self._kept.sort(key=lambda problem: problem.row or 0)
            del self._kept[KEPT:]

    def refuse(self) -> None:
        """Raise `BadInput` if anything was found.

        ``problems`` are of the first 1,000 rows, ``counts`` of all.
        """
        if self:
            self.settle()
            total = sum(self.counts.values())
            some = f"; the first {KEPT:,} are listed" if total > KEPT else ""
            raise BadInput(
                f"Nothing was stored: {total:,} problem{'s'[: total > 1]} in the file{some}.",
                self._kept,
                dict(self.counts.most_common(100)),
            )
