"""Imports of recorded verdicts: any number of rows in bounded memory, all of them visible or none.

Rows are written batch by batch, between the grades of the running service. They stay invisible
until the import is finished, which is one small commit; an import that does not get there is
taken back. One import at a time runs in a project.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Executable, delete, insert, select, update

from app.domain.anchors import Pairing, RecordedVerdict
from app.domain.ids import content_id
from app.domain.judging import ImportReport, ImportRunning, JudgeVersion, UnscoredReason
from app.domain.rubrics import RubricVersion
from app.storage import ledger, processes
from app.storage.catalog import Catalog
from app.storage.database import Database
from app.storage.ledger import CODE, SCORED, TALLIES, VERDICTS, Sums, tally_of
from app.storage.locks import one_at_a_time
from app.storage.pairings import Placed, place_on_record
from app.storage.rubrics import criterion_ids, rubric_id
from app.storage.statements import Row
from app.storage.tables import imports, verdicts
from app.storage.times import to_ms
from app.storage.writer import write_rows

RUNNING, DONE, FAILED = "running", "done", "failed"
_BATCH = 2_000  # rows per commit: bounds memory, and how long a grade waits for its turn
_MOST_PLACED = 200_000
_DISCARD = 50_000
_KEY, _VALUE = 12, 15  # places of import_key and value in a verdict row without its id


class AlreadyImported(Exception):
    """This very file was imported into this rubric before; ``report`` says what it did then."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__("the same file was imported before")
        self.report = report


@dataclass(slots=True)
class VerdictImport:
    """An open import. Use as ``async with``: what is not finished on leaving is taken back.

    ``report`` counts what has been written so far.
    """

    db: Database
    project_id: int
    rubric: RubricVersion
    report: ImportReport
    at: int
    _waiting: list[RecordedVerdict] = field(default_factory=list)
    _placed: dict[Row, Placed] = field(default_factory=dict)
    _tallies: Sums = field(default_factory=Sums)
    _open: bool = True

    async def add(self, batch: Sequence[RecordedVerdict]) -> None:
        """Write some verdicts, any number at a time.

        Raises
        ------
        ItemConflict
            If an item's id already stands for another prompt.
        KeyError
            If a verdict's criterion is not one of the rubric's.
        ValueError
            If an ``unscored`` is not an `UnscoredReason`.
        """
        self._waiting.extend(batch)
        while len(self._waiting) >= _BATCH:
            chunk, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            await self._write(chunk)

    async def finish(self, *, now: datetime) -> ImportReport:
        """Make everything visible at once."""
        if self._waiting:
            chunk, self._waiting = self._waiting, []
            await self._write(chunk)

        def finish(connection: Connection) -> None:
            visible_from = ledger.advance(connection, 1)
            mine = imports.c.id == self.report.id, imports.c.status == RUNNING
            done = {"status": DONE, "visible_from": visible_from, "finished_at": to_ms(now)}
            done |= self._counts()
            if connection.execute(update(imports).where(*mine).values(done)).rowcount != 1:
                raise RuntimeError("the import was taken back while it ran")
            TALLIES.execute(connection, self._tallies.rows())

        await self.db.write(finish)
        self._open = False
        return self.report

    async def abort(self) -> None:
        """Take everything back."""
        if self._open:
            self._open = False
            await _discard(self.db, self.report.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abort()

    async def _write(self, chunk: Sequence[RecordedVerdict]) -> None:
        catalog, rows = await asyncio.to_thread(self._rows, chunk)
        new, duplicates, contradictions = await self.db.write(lambda c: self._store(c, catalog, rows))
        self._tallies.add(map(self._tally, new))
        so_far = self.report
        self.report = ImportReport(
            so_far.id,
            so_far.sha256,
            so_far.verdicts + len(new),
            so_far.duplicates + duplicates,
            so_far.contradictions + contradictions,
        )

    def _rows(self, chunk: Sequence[RecordedVerdict]) -> tuple[Catalog, list[Row]]:
        catalog = Catalog(self.project_id, self.at)
        criteria = criterion_ids(self.project_id, self.rubric.rubric)
        return catalog, [self._row(catalog, verdict, criteria[verdict.criterion]) for verdict in chunk]

    def _row(self, catalog: Catalog, verdict: RecordedVerdict, criterion: int) -> Row:
        judge = catalog.judge(
            JudgeVersion(verdict.judge_family, verdict.judge, verdict.judge, verdict.judge_params)
        )
        about = self._place(catalog, verdict.about)
        other, other_system = (about.other.id, about.other.system_id) if about.other else (None, None)
        place = _place(verdict, about)
        key = content_id(judge, criterion, about.answer.id, other, verdict.draw, place)
        value = None if verdict.value is None else about.sign * float(verdict.value)
        return (
            self.project_id,
            self.rubric.id,
            criterion,
            judge,
            about.item_id,
            about.answer.id,
            other,
            about.answer.system_id,
            other_system,
            None,
            None,
            self.report.id,
            key,
            verdict.draw,
            place,
            value,
            None,
            _unscored(verdict),
            False,
            None,
            self.at if verdict.graded_at is None else to_ms(verdict.graded_at),
        )

    def _place(self, catalog: Catalog, about: Pairing) -> Placed:
        """`place_on_record`, skipping what an earlier row of this import put there, if it has no texts."""
        if about.prompt or about.context or about.reference or about.answer or about.other_answer:
            return place_on_record(catalog, about)
        names = (about.item_id, about.system, about.other_system, about.system_family, about.other_family)
        key = (*names, about.len_words, about.other_len_words, *sorted(about.strata.items()))
        if key not in self._placed:
            if len(self._placed) >= _MOST_PLACED:
                self._placed.clear()
            self._placed[key] = place_on_record(catalog, about)
        return self._placed[key]

    def _store(self, connection: Connection, catalog: Catalog, rows: list[Row]) -> tuple[list[Row], int, int]:
        """Write a batch; returns the new rows, and how many were there already, alike and not."""
        write_rows(connection, catalog.rows)
        there = _there(connection, [row[_KEY] for row in rows])
        new: dict[int, Row] = {}
        contradictions = 0
        for row in rows:
            if row[_KEY] in there:
                contradictions += there[row[_KEY]] != row[_VALUE]
            else:
                there[row[_KEY]] = row[_VALUE]
                new[row[_KEY]] = row
        write_rows(connection, {VERDICTS: list(new.values())})
        return list(new.values()), len(rows) - len(new), contradictions

    def _counts(self) -> dict[str, Any]:
        names = ("verdicts", "duplicates", "contradictions")
        return {name: getattr(self.report, name) for name in names}

    def _tally(self, row: Row) -> Row:
        return tally_of(
            project_id=self.project_id,
            criterion_id=row[2],
            judge_version_id=row[3],
            system_id=row[7],
            other_system_id=row[8],
            place=row[14],
            unscored=row[17],
            value=row[_VALUE],
        )


async def open_import(
    db: Database, project_id: int, *, rubric: RubricVersion, sha256: str, now: datetime
) -> VerdictImport:
    """Begin an import of the file with that hash; what a dead import left behind is taken back first.

    Raises
    ------
    AlreadyImported
        If this file was imported into this rubric before: nothing is to be done.
    ImportRunning
        If another import into this project has not ended yet.
    """
    await discard_abandoned_imports(db, now=now)
    import_id = db.new_id(now)
    row = {
        "id": import_id,
        "project_id": project_id,
        "rubric_id": rubric_id(project_id, rubric.rubric.name),
        "sha256": sha256,
        "status": RUNNING,
        "verdicts": 0,
        "duplicates": 0,
        "contradictions": 0,
        "process_id": db.process_id,
        "started_at": to_ms(now),
    }
    mine = imports.c.project_id == project_id

    def begin(connection: Connection) -> VerdictImport:
        one_at_a_time(connection, content_id(project_id, "imports"))
        running = select(imports.c.id).where(mine, imports.c.status == RUNNING)
        other = connection.execute(running.limit(1)).scalar_one_or_none()
        if other is not None:
            raise ImportRunning(other)
        before = connection.execute(
            select(imports).where(
                mine,
                imports.c.status == DONE,
                imports.c.sha256 == sha256,
                imports.c.rubric_id == row["rubric_id"],
            )
        ).first()
        if before is not None:
            raise AlreadyImported(_report(before, repeated=True))
        connection.execute(insert(imports).values(row | {"ledger_from": ledger.newest(connection)}))
        report = ImportReport(import_id, sha256, 0, 0, 0)
        return VerdictImport(db, project_id, rubric, report, to_ms(now))

    return await db.write(begin)


async def get_import(db: Database, project_id: int, import_id: int) -> tuple[ImportReport, str] | None:
    """What an import has done so far, and whether it is running, done or failed."""
    query = select(imports).where(imports.c.id == import_id, imports.c.project_id == project_id)
    row = await db.read(lambda c: c.execute(query).one_or_none())
    return None if row is None else (_report(row), row.status)


async def discard_abandoned_imports(db: Database, *, now: datetime) -> int:
    """Take back what imports of dead processes wrote; returns how many there were."""

    def find(connection: Connection) -> list[int]:
        alive = processes.living(connection, now) | {db.process_id}
        left = select(imports.c.id).where(imports.c.status == RUNNING, imports.c.process_id.not_in(alive))
        return list(connection.execute(left).scalars())

    abandoned = await db.read(find)
    for import_id in abandoned:
        await _discard(db, import_id)
    return len(abandoned)


async def _discard(db: Database, import_id: int) -> None:
    """Delete an import's rows, which nobody has seen, in steps; then call it failed."""
    one = select(imports.c.ledger_from).where(imports.c.id == import_id)
    start, end = await db.read(lambda c: (c.execute(one).scalar_one(), ledger.newest(c)))
    for low in range(start, end, _DISCARD):
        numbers = verdicts.c.id.between(low + 1, low + _DISCARD)
        gone = delete(verdicts).where(numbers, verdicts.c.import_id == import_id)
        await _execute(db, gone)
    over = update(imports).where(imports.c.id == import_id, imports.c.status == RUNNING)
    await _execute(db, over.values(status=FAILED))


async def _execute(db: Database, statement: Executable) -> None:
    def run(connection: Connection) -> None:
        connection.execute(statement)

    await db.write(run)


def _there(connection: Connection, keys: list[int]) -> dict[int, float | None]:
    known = select(verdicts.c.import_key, verdicts.c.value).where(verdicts.c.import_key.in_(keys))
    return {row[0]: row[1] for row in connection.execute(known)}


def _place(verdict: RecordedVerdict, about: Placed) -> int:
    """Where the canonical first (of a pair) or the answer was shown; -1 if both orders were merged."""
    if verdict.order == 0:
        return -1
    if about.other is None:
        return 0 if verdict.order is None else verdict.order - 1
    return 0 if about.sign == 1 else 1


def _unscored(verdict: RecordedVerdict) -> int:
    if verdict.unscored is not None:
        return CODE[UnscoredReason(verdict.unscored)]
    return SCORED if verdict.value is not None else CODE[UnscoredReason.UNPARSABLE]


def _report(row: Any, *, repeated: bool = False) -> ImportReport:
    return ImportReport(
        row.id, row.sha256, row.verdicts, row.duplicates, row.contradictions, repeated=repeated
    )
