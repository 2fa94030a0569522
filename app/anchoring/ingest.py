"""Bringing in what people said: a file of human grades becomes the next version of an anchor set."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from tempfile import TemporaryFile
from typing import BinaryIO

from app.anchoring.corrections import Corrections
from app.anchoring.guess import guess_mapping
from app.anchoring.limits import Limits
from app.anchoring.mapping import Mapping, Uploaded, read_mapping
from app.anchoring.preview import preview
from app.anchoring.problem_rows import find_problem_rows, problem_rows_csv
from app.anchoring.shapes.reading import find_shape
from app.anchoring.shapes.shape import Shape
from app.anchoring.survey import Checked
from app.anchoring.upload import Upload, check, human_verdicts
from app.domain.anchors import AnchorSetOfAnotherRubric, AnchorSetVersion, HumanVerdict, Retirement
from app.domain.ids import show_id
from app.domain.items import ItemConflict
from app.domain.problems import BadInput, Conflict, NotFound, Problem, TooLarge
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.storage import anchors, calibrations, column_mappings, rubrics
from app.storage.column_mappings import RememberedMapping
from app.storage.database import Database
from app.storage.paging import Page

MOST_ANCHORS = 500_000
"""Rows of one anchor file: they enter their set in one transaction, so they are held in memory once."""

Schedule = Callable[[Project, RubricVersion, tuple[str, ...]], Awaitable[None]]
"""Asks for new calibrations of these criteria of a rubric."""


@dataclass(frozen=True, slots=True)
class AnchorUpload:
    """What an upload of human grades did, or would do (``dry_run``).

    ``set_version`` is the anchor set as it stands afterwards (None in a dry run of a new set),
    ``changed`` says whether this upload made it so; ``checked`` describes the file.
    """

    anchor_set: str
    rubric: RubricVersion
    sha256: str
    checked: Checked
    set_version: AnchorSetVersion | None
    changed: bool
    dry_run: bool


class NoSuchRubric(NotFound):
    """The rubric is yet to be made; the words say how."""

    def __init__(self, name: str) -> None:
        super().__init__("rubric", name)
        self.args = (
            f"there is no rubric {name!r}; make it first: PUT /rubrics/{name} with its kind, instructions and"
            " criteria, whose names and scales the file must fit",
        )


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Anchors:
    """Anchor sets of all projects. ``schedule`` is told which criteria have new anchors.

    ``simulated_people`` lets made-up annotators in, marked as such; for services whose judges are simulated.
    """

    db: Database
    now: Callable[[], datetime] = _utc_now
    limits: Limits = field(default_factory=Limits)
    schedule: Schedule | None = None
    simulated_people: bool = False

    async def upload(
        self,
        project: Project,
        *,
        file: BinaryIO,
        rubric: str,
        anchor_set: str,
        mapping: str | None = None,
        shape: Shape | None = None,
        corrections: Corrections | None = None,
        replace: bool = False,
        dry_run: bool = False,
    ) -> AnchorUpload:
        """Add a file of human grades to a set as its next version: all rows or none.

        ``shape`` says what wrote the file; without it, that is found out. Unless it is a table, its columns
        are guessed where no mapping is given. ``corrections`` stand in place of rows of the file. The same
        file and mapping twice changes nothing. A grade that an annotator gave before is replaced; with
        ``replace`` the file becomes the whole set. A dry run finds what is wrong with the file and stores
        nothing. A mapping under which a file is stored is remembered for files with the same columns.

        Raises
        ------
        NotFound
            If there is no such rubric.
        BadInput
            With every row that is wrong and why.
        Conflict
            If the set belongs to another rubric.
        """
        version, upload = await self._read(project, file, rubric, mapping, shape, corrections)
        digest = await asyncio.to_thread(upload_digest, upload)
        checked = await asyncio.to_thread(check, upload)
        if checked.rows > MOST_ANCHORS:
            raise TooLarge(f"At most {MOST_ANCHORS:,} human grades fit in one file; send it in parts.")
        before = await self._latest(project, anchor_set)
        if before is not None and before.rubric != rubric:
            raise Conflict(str(AnchorSetOfAnotherRubric(anchor_set, before.rubric, rubric)))
        if dry_run:
            return AnchorUpload(anchor_set, version, digest, checked, before, changed=False, dry_run=True)
        after = await self._store(project, upload, checked, version, anchor_set, digest, replace)
        await self._remember(project, upload, checked)
        changed = before is None or after.version > before.version
        if changed and self.schedule is not None:
            await self.schedule(project, version, tuple(checked.criteria))
        return AnchorUpload(anchor_set, version, digest, checked, after, changed, dry_run=False)

    async def problem_rows(
        self,
        project: Project,
        *,
        file: BinaryIO,
        rubric: str,
        mapping: str | None = None,
        shape: Shape | None = None,
        corrections: Corrections | None = None,
    ) -> BinaryIO:
        """Every wrong row of a file as CSV (see `problem_rows_csv`), in a file of its own to be closed.

        Raises
        ------
        NotFound
            If there is no such rubric.
        BadInput
            If what is wrong is not wrong with single rows.
        """
        _, upload = await self._read(project, file, rubric, mapping, shape, corrections)

        def write() -> BinaryIO:
            found = find_problem_rows(upload)
            # Written out before any of it is sent: the upload may be gone by then, and an error is an answer.
            kept = TemporaryFile()  # noqa: SIM115
            for piece in problem_rows_csv(upload, found):
                kept.write(piece.encode("utf-8", "replace"))
            kept.seek(0)
            return kept

        return await asyncio.to_thread(write)

    async def remembered(
        self, project: Project, rubric: RubricVersion, columns: Sequence[str], shape: Shape = Shape.TABLE
    ) -> str | None:
        """The mapping of the last upload of a file with these columns, as JSON, or None.

        A criterion that it gives to all rows is left out where the rubric has no such criterion.
        """
        kind = rubric.rubric.kind.value
        found = await column_mappings.find_mapping(
            self.db, project.id, kind=kind, shape=shape.value, columns=columns
        )
        if found is None:
            return None
        parts = json.loads(found.mapping)
        if parts["constants"].get("criterion") not in {one.name for one in rubric.rubric.criteria}:
            parts["constants"].pop("criterion", None)
        return json.dumps(parts, ensure_ascii=False)

    async def mappings(self, project: Project) -> tuple[RememberedMapping, ...]:
        """Every mapping that is remembered, the last used first."""
        return await column_mappings.list_mappings(self.db, project.id)

    async def forget_mapping(self, project: Project, mapping_id: int) -> None:
        """Forget one; NotFound if there is none of that id."""
        if not await column_mappings.forget_mapping(self.db, project.id, mapping_id):
            raise NotFound("remembered mapping", show_id("map", mapping_id))

    async def list(
        self, project: Project, *, rubric: str | None, limit: int, cursor: str | None
    ) -> Page[AnchorSetVersion]:
        """The newest version of each set, by name."""
        return await anchors.list_anchor_sets(self.db, project.id, rubric=rubric, limit=limit, cursor=cursor)

    async def versions(self, project: Project, name: str) -> tuple[AnchorSetVersion, ...]:
        """Every version of a set, newest first; NotFound if there is no such set."""
        found = await anchors.anchor_set_versions(self.db, project.id, name)
        if not found:
            raise NotFound("anchor set", name)
        return found

    async def retire(
        self,
        project: Project,
        name: str,
        *,
        items: Sequence[str] = (),
        annotators: Sequence[str] = (),
        everything: bool = False,
        reason: str,
        dry_run: bool = False,
    ) -> tuple[AnchorSetVersion, Retirement]:
        """Take items, all that annotators gave, or everything out of a set as its next version; what rested
        on the set is calibrated anew. A dry run tells what would leave.

        Raises
        ------
        NotFound
            If there is no such set.
        """
        retired = await anchors.retire_members(
            self.db,
            project.id,
            name,
            items=items,
            annotators=annotators,
            everything=everything,
            reason=reason,
            dry_run=dry_run,
            now=self.now(),
        )
        if retired is None:
            raise NotFound("anchor set", name)
        after, what = retired
        if what.grades and not dry_run:
            await self._reschedule(project, after)
        return after, what

    async def _reschedule(self, project: Project, changed: AnchorSetVersion) -> None:
        """Everything of the rubric anew, and what was asked to rest on this set by name."""
        if self.schedule is None:
            return
        for rubric, criterion, sets in await calibrations.calibrations_on(
            self.db, project.id, changed.anchor_set
        ):
            await calibrations.queue_calibration(
                self.db, project.id, rubric=rubric, criterion=criterion, anchor_sets=sets, now=self.now()
            )
        version = await rubric_or_refuse(self.db, project, changed.rubric)
        await self.schedule(project, version, tuple(one.name for one in version.rubric.criteria))

    async def _read(
        self,
        project: Project,
        file: BinaryIO,
        rubric: str,
        mapping: str | None,
        shape: Shape | None,
        corrections: Corrections | None,
    ) -> tuple[RubricVersion, Upload]:
        version = await rubric_or_refuse(self.db, project, rubric)
        read_as = read_mapping(mapping, Uploaded.ANCHORS, version.rubric.kind)

        def find() -> tuple[Shape, Mapping]:
            known = find_shape(file, self.limits) if shape is None else shape
            if known is Shape.TABLE or mapping:
                return known, read_as
            seen = preview(file, version.rubric, shape=known, limits=self.limits)
            return known, guess_mapping(seen.columns, version.rubric)

        known, columns = await asyncio.to_thread(find)
        made_up = self.simulated_people
        return version, Upload(
            *(file, Uploaded.ANCHORS, version.rubric, columns, self.limits, made_up, corrections, known)
        )

    async def _remember(self, project: Project, upload: Upload, checked: Checked) -> None:
        if upload.mapping == Mapping():
            return
        await column_mappings.remember_mapping(
            self.db,
            project.id,
            kind=upload.rubric.kind.value,
            shape=upload.shape.value,
            columns=checked.columns,
            mapping=upload.mapping.canonical_json(),
            now=self.now(),
        )

    async def _latest(self, project: Project, name: str) -> AnchorSetVersion | None:
        return next(iter(await anchors.anchor_set_versions(self.db, project.id, name)), None)

    async def _store(
        self,
        project: Project,
        upload: Upload,
        checked: Checked,
        rubric: RubricVersion,
        name: str,
        digest: str,
        replace: bool,
    ) -> AnchorSetVersion:
        def read_all() -> list[HumanVerdict]:
            return [verdict for batch in human_verdicts(upload, checked) for verdict in batch]

        verdicts = await asyncio.to_thread(read_all)
        try:
            return await anchors.add_anchor_version(
                self.db,
                project.id,
                rubric=rubric,
                name=name,
                verdicts=verdicts,
                sha256=digest,
                replace=replace,
                warnings=checked.warnings,
                now=self.now(),
            )
        except ItemConflict as error:
            raise another_prompt(error) from error
        except AnchorSetOfAnotherRubric as error:
            raise Conflict(str(error)) from error


def queue_calibrations(db: Database, now: Callable[[], datetime] = _utc_now) -> Schedule:
    """A `Schedule` that queues one calibration per criterion, on all anchor sets of the rubric."""

    async def schedule(project: Project, rubric: RubricVersion, criteria: tuple[str, ...]) -> None:
        for criterion in criteria:
            await calibrations.queue_calibration(
                db, project.id, rubric=rubric.rubric.name, criterion=criterion, now=now()
            )

    return schedule


async def rubric_or_refuse(db: Database, project: Project, name: str) -> RubricVersion:
    """The newest version of a rubric, or `NoSuchRubric`."""
    found = await rubrics.get_rubric(db, project.id, name)
    if found is None:
        raise NoSuchRubric(name)
    return found


def file_digest(file: BinaryIO, mapping: Mapping, limits: Limits) -> str:
    """SHA-256 of a file and, unless it is empty, of the mapping: what makes an upload the same upload.

    Raises
    ------
    TooLarge
        If the file is beyond the limits.
    """
    digest, size = sha256(), 0
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
        if size > limits.file:
            raise TooLarge(f"A file may have {limits.file:,} bytes.")
    if mapping != Mapping():
        digest.update(mapping.canonical_json().encode())
    return digest.hexdigest()


def upload_digest(upload: Upload) -> str:
    """SHA-256 of all that makes an upload the same upload."""
    digest = file_digest(upload.file, upload.mapping, upload.limits)
    if upload.corrections is None or not upload.corrections.rows:
        return digest
    return sha256(f"{digest} {upload.corrections.digest()}".encode()).hexdigest()


def another_prompt(error: ItemConflict) -> BadInput:
    """The same item id with another prompt than the service knows."""
    return BadInput(
        "Nothing was stored: an item is known with another prompt.",
        [Problem("is known with another prompt", column="item_id", value=error.item_id)],
    )
