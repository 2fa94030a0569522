"""The ledger of verdicts: append-only, numbered in the order of commit, with running sums.

The number of a verdict is drawn from the one row of ``ledger`` in the transaction that writes it.
The row's lock is held until that transaction commits, so whoever reads number n also sees every
verdict up to n: a calibration's snapshot is one number, and what came later is ``id > n``.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, Integer, bindparam, select, update

from app.domain.judging import UnscoredReason
from app.storage import tables
from app.storage.statements import Insert, Row

SCORED = -1
REASONS = tuple(UnscoredReason)
CODE = {reason: code for code, reason in enumerate(REASONS)}

_TALLY_KEY = 7  # leading columns of a tally: what it is kept by, and its project


_NEWEST = tables.ledger.c.newest
_ADVANCE = update(tables.ledger).values(newest=_NEWEST + bindparam("by", type_=Integer)).returning(_NEWEST)
_READ = select(_NEWEST)


def advance(connection: Connection, by: int) -> int:
    """Give out the next ``by`` numbers; returns the last. Later writers wait for this commit."""
    return int(connection.execute(_ADVANCE, {"by": by}).scalar_one())


def newest(connection: Connection) -> int:
    """The highest number given out, as this snapshot sees it."""
    return int(connection.execute(_READ).scalar_one())


def _number(connection: Connection, rows: list[Row]) -> list[Row]:
    first = advance(connection, len(rows)) - len(rows) + 1
    return [(number, *row) for number, row in enumerate(rows, first)]


class Sums:
    """Tally rows added up by key."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._sums: dict[Row, list[float]] = {}
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Add tally rows."""
        for row in rows:
            held = self._sums.setdefault(row[:_TALLY_KEY], [0, 0.0, 0.0])
            for place, value in enumerate(row[_TALLY_KEY:]):
                held[place] += value

    def rows(self) -> list[Row]:
        """One row per key, in the order of keys."""
        return [(*key, *held) for key, held in sorted(self._sums.items())]


def _add_up(_: Connection, rows: list[Row]) -> list[Row]:
    return Sums(rows).rows()


# Rows come without their id, which `_number` puts before them.
VERDICTS = Insert(
    tables.verdicts,
    tuple(column.name for column in tables.verdicts.columns),
    prepare=_number,
)

TALLIES = Insert(
    tables.tallies,
    tuple(column.name for column in tables.tallies.columns),
    add=("verdicts", "total", "total_squares"),
    prepare=_add_up,
)


def tally_of(
    *,
    project_id: int,
    criterion_id: int,
    judge_version_id: int,
    system_id: int,
    other_system_id: int | None,
    place: int,
    unscored: int,
    value: float | None,
) -> Row:
    """What one verdict adds to the sums."""
    score = value or 0.0
    key = (criterion_id, judge_version_id, system_id, other_system_id or 0, place, unscored)
    return (*key, project_id, 1, score, score * score)
