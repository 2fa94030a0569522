"""Imports of recorded judge verdicts: any number of rows in bounded memory, with progress."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import BinaryIO

from app.anchoring.ingest import Schedule, another_prompt, file_digest, rubric_or_refuse
from app.anchoring.limits import Limits
from app.anchoring.mapping import Uploaded, read_mapping
from app.anchoring.survey import Checked
from app.anchoring.upload import Upload, check, recorded_verdicts
from app.domain.anchors import RecordedVerdict
from app.domain.ids import read_id
from app.domain.items import ItemConflict
from app.domain.judging import ImportReport, ImportRunning
from app.domain.problems import BadInput, Conflict, NotFound, Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.storage import anchors, imports
from app.storage.database import Database
from app.storage.imports import AlreadyImported, VerdictImport

_REMEMBERED = 200  # ended imports whose problems this process can still tell


class ImportStatus(StrEnum):
    """Where an import stands."""

    CHECKING = "checking"
    STORING = "storing"
    RUNNING = "running"  # in another process, which alone knows how far it is
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class ImportProgress:
    """An import as far as it is. Bytes are of the file as sent; rows count from the file's first.

    ``verdicts`` were new, ``duplicates`` there already, ``contradictions`` among these said something
    else. ``rows_total`` is known once the file is checked. ``problems`` say why an import failed.
    ``repeated`` says that the same file was imported before, so that there was nothing to do.
    """

    id: int
    sha256: str
    status: ImportStatus
    bytes_total: int | None = None
    bytes_read: int | None = None
    rows_read: int | None = None
    rows_total: int | None = None
    rows_stored: int | None = None
    unscored: int | None = None
    items: int | None = None
    judges: int | None = None
    verdicts: int = 0
    duplicates: int = 0
    contradictions: int = 0
    repeated: bool = False
    warnings: tuple[str, ...] = ()
    error: str | None = None
    problems: Sequence[Problem] = ()
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, report: ImportReport) -> None:
        """Take over what was written so far."""
        self.verdicts, self.duplicates = report.verdicts, report.duplicates
        self.contradictions = report.contradictions


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Imports:
    """Imports into all projects; remembers how far those of this process are.

    ``schedule`` is told which criteria have new verdicts, of rubrics that people have graded answers by.
    """

    db: Database
    now: Callable[[], datetime] = _utc_now
    limits: Limits = field(default_factory=Limits)
    schedule: Schedule | None = None
    _known: OrderedDict[tuple[int, int], ImportProgress] = field(default_factory=OrderedDict)

    async def check(self, project: Project, *, file: BinaryIO, rubric: str, mapping: str | None) -> Checked:
        """What a file holds, or `BadInput` with what is wrong with it; nothing is stored."""
        return await asyncio.to_thread(check, await self._upload(project, file, rubric, mapping))

    async def begin(
        self, project: Project, *, file: BinaryIO, rubric: str, mapping: str | None = None
    ) -> "RunningImport":
        """Open an import; `RunningImport.run` then does the work. ``file`` must stay open until it is done.

        Raises
        ------
        NotFound
            If there is no such rubric.
        BadInput
            If the mapping does not fit.
        Conflict
            While another import into the project runs.
        """
        version = await rubric_or_refuse(self.db, project, rubric)
        upload = await self._upload(project, file, rubric, mapping)
        digest = await asyncio.to_thread(file_digest, file, upload.mapping, self.limits)
        size = file.seek(0, 2)
        try:
            opened = await imports.open_import(
                self.db, project.id, rubric=version, sha256=digest, now=self.now()
            )
        except AlreadyImported as error:
            before = ImportProgress(error.report.id, digest, ImportStatus.DONE, size, repeated=True)
            before.count(error.report)
            return RunningImport(self, project, version, upload, None, before)
        except ImportRunning as error:
            raise Conflict(str(error)) from error
        progress = ImportProgress(opened.report.id, digest, ImportStatus.CHECKING, size, 0, 0)
        self._remember(project, progress)
        return RunningImport(self, project, version, upload, opened, progress)

    async def progress(self, project: Project, import_id: str) -> ImportProgress:
        """How far an import is; NotFound if there is none of that id."""
        key = read_id("i", import_id)
        found = await imports.get_import(self.db, project.id, key)
        if found is None:
            raise NotFound("import", import_id)
        known = self._known.get((project.id, key))
        if known is not None:
            return known
        report, status = found
        progress = ImportProgress(key, report.sha256, ImportStatus(status))
        progress.count(report)
        if progress.status is ImportStatus.FAILED:
            progress.error = "The import did not end: its process stopped, or the file was refused."
        return progress

    async def _upload(self, project: Project, file: BinaryIO, rubric: str, mapping: str | None) -> Upload:
        version = await rubric_or_refuse(self.db, project, rubric)
        read_as = read_mapping(mapping, Uploaded.VERDICTS, version.rubric.kind)
        return Upload(file, Uploaded.VERDICTS, version.rubric, read_as, self.limits)

    def _remember(self, project: Project, progress: ImportProgress) -> None:
        self._known[project.id, progress.id] = progress
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


@dataclass(slots=True)
class RunningImport:
    """An import that was begun; ``progress`` grows while `run` works."""

    owner: Imports
    project: Project
    rubric: RubricVersion
    upload: Upload
    opened: VerdictImport | None
    progress: ImportProgress

    async def run(self) -> ImportProgress:
        """Check the file, then store it; every row or none. New verdicts are then calibrated.

        Raises
        ------
        BadInput
            With every row that is wrong and why; the progress then says so too.
        """
        if self.opened is None:
            return self.progress
        try:
            async with self.opened as opened:
                checked = await self._check_and_store(opened)
        except BaseException as error:
            self._failed(error)
            if isinstance(error, ItemConflict):
                raise another_prompt(error) from error
            raise
        if self.progress.verdicts:
            await self._schedule(tuple(checked.criteria))
        return self.progress

    async def run_behind(self) -> None:
        """`run` for nobody who waits: refusals are kept in the progress, not raised."""
        with suppress(BadInput):
            await self.run()

    async def _schedule(self, criteria: tuple[str, ...]) -> None:
        owner, about = self.owner, self.rubric.rubric.name
        if owner.schedule is None:
            return
        graded = await anchors.list_anchor_sets(owner.db, self.project.id, rubric=about, limit=1)
        if graded.items:
            await owner.schedule(self.project, self.rubric, criteria)

    async def _check_and_store(self, opened: VerdictImport) -> Checked:
        progress = self.progress
        checked = await asyncio.to_thread(check, self.upload, self._saw)
        progress.rows_total, progress.warnings = checked.rows, checked.warnings
        progress.items, progress.judges, progress.unscored = checked.items, checked.voices, checked.unscored
        progress.bytes_read, progress.rows_stored = progress.bytes_total, 0
        progress.status = ImportStatus.STORING
        batches = recorded_verdicts(self.upload, checked)
        while batch := await asyncio.to_thread(_next, batches):
            await opened.add(batch)
            progress.rows_stored += len(batch)
            progress.count(opened.report)
        progress.count(await opened.finish(now=self.owner.now()))
        progress.status = ImportStatus.DONE
        if progress.contradictions:
            progress.warnings += (
                f"{progress.contradictions:,} verdicts contradict what is there already, which stays.",
            )
        return checked

    def _saw(self, rows: int) -> None:
        self.progress.rows_read = rows
        self.progress.bytes_read = self.upload.file.tell()

    def _failed(self, error: BaseException) -> None:
        progress = self.progress
        progress.status = ImportStatus.FAILED
        if isinstance(error, ItemConflict):
            error = another_prompt(error)
        if isinstance(error, BadInput):
            progress.error, progress.problems, progress.counts = error.summary, error.problems, error.counts
        elif isinstance(error, asyncio.CancelledError):
            progress.error = "The service stopped before the import was done; nothing was stored."
        else:
            progress.error = "The import failed inside; it has been logged, and nothing was stored."


def _next(batches: Iterator[list[RecordedVerdict]]) -> list[RecordedVerdict] | None:
    return next(batches, None)
