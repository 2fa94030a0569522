"""The audits: opened on record, run behind, ended with what was found; what fails is put aside."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

import structlog
from pydantic import ValidationError

from app.auditing.asked import Asked, Means, Outcome, Parameters
from app.auditing.disagreement import DisagreementParameters, audit_disagreement
from app.auditing.invariance import InvarianceParameters, audit_invariance
from app.auditing.overlap import OverlapParameters, audit_overlap
from app.auditing.provenance import ProvenanceParameters, audit_provenance
from app.domain.audits import Audit, AuditKind, AuditStatus, AuditVerdict, Findings, Quarantined
from app.domain.ids import show_id
from app.domain.problems import BadInput, Conflict, NotFound, Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.stats.errors import InsufficientData, NotIdentified
from app.storage import anchors, audits, quarantine, rubrics
from app.storage.anchor_texts import anchor_grades
from app.storage.paging import Page

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[Any, Any, Any], str], object]
Changed = Callable[[Project, RubricVersion, tuple[str, ...]], Awaitable[None]]
Retire = Callable[[Project, str, tuple[str, ...], str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of audit is asked for and run. ``of_a_set``: it is about one anchor set."""

    parameters: type[Parameters]
    run: Callable[[Asked, Means], Awaitable[Outcome]]
    of_a_set: bool = True


KINDS: Mapping[AuditKind, Kind] = {
    AuditKind.PROVENANCE: Kind(ProvenanceParameters, audit_provenance),
    AuditKind.OVERLAP: Kind(OverlapParameters, audit_overlap),
    AuditKind.DISAGREEMENT: Kind(DisagreementParameters, audit_disagreement),
    AuditKind.INVARIANCE: Kind(InvarianceParameters, audit_invariance, of_a_set=False),
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Audits:
    """The use case. ``changed`` hears which criteria rest on other anchors now; ``retire`` takes items out of
    a set, with a reason."""

    means: Means
    spawn: Spawn
    changed: Changed
    retire: Retire
    now: Callable[[], datetime] = _utc_now
    kinds: Mapping[AuditKind, Kind] = field(default_factory=lambda: KINDS)

    async def begin(
        self,
        project: Project,
        kind: AuditKind,
        *,
        rubric: str | None = None,
        criterion: str | None = None,
        anchor_set: str | None = None,
        parameters: Mapping[str, Any],
        file: BinaryIO | None = None,
    ) -> Audit:
        """Open an audit and run it behind; ``file`` is closed when it ends.

        Raises
        ------
        NotFound, BadInput
            Before anything is stored.
        """
        db = self.means.db
        how = self.kinds[kind]
        read = _read(how, parameters)
        version = None
        if how.of_a_set or anchor_set is not None:
            if not anchor_set:
                raise BadInput(f"A {kind} audit is about an anchor set: name it.")
            versions = await anchors.anchor_set_versions(db, project.id, anchor_set)
            if not versions:
                raise NotFound("anchor set", anchor_set)
            rubric, version = versions[0].rubric, versions[0].version
        if not rubric:
            raise BadInput("Name a rubric or an anchor set.")
        found = await rubrics.get_rubric(db, project.id, rubric)
        if found is None:
            raise NotFound("rubric", rubric)
        if criterion is not None and criterion not in {one.name for one in found.rubric.criteria}:
            raise NotFound(f"criterion of {rubric!r} called", criterion)
        audit = await audits.open_audit(
            db,
            project.id,
            kind=kind,
            rubric=rubric,
            criterion=criterion,
            anchor_set=anchor_set,
            version=version,
            parameters=read.model_dump(mode="json"),
            now=self.now(),
        )
        self._start(Asked(project, audit, found, read, file))
        return audit

    async def get(self, project: Project, audit_id: int) -> Audit:
        """An audit as it stands; NotFound if the project has none of that id."""
        found = await audits.get_audit(self.means.db, project.id, audit_id)
        if found is None:
            raise NotFound("audit", show_id("au", audit_id))
        return found

    async def list(
        self,
        project: Project,
        *,
        kind: AuditKind | None,
        anchor_set: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page[Audit]:
        """Newest first."""
        return await audits.list_audits(
            self.means.db, project.id, kind=kind, anchor_set=anchor_set, limit=limit, cursor=cursor
        )

    async def quarantined(
        self,
        project: Project,
        *,
        anchor_set: str | None = None,
        audit_id: int | None = None,
        pending: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Quarantined]:
        """What audits put aside."""
        return await quarantine.list_quarantined(
            self.means.db, project.id, anchor_set=anchor_set, audit_id=audit_id, pending=pending,
            limit=limit, cursor=cursor,
        )  # fmt: skip

    async def decide(self, project: Project, key: int, decision: str, note: str | None) -> Quarantined:
        """Keep an anchor that was put aside, or retire it from its set; what rests on it is calibrated anew.

        Raises
        ------
        NotFound
            If there is no such entry.
        Conflict
            If somebody has decided already.
        """
        db = self.means.db
        entry = await quarantine.get_quarantined(db, project.id, key)
        if entry is None:
            raise NotFound("quarantined anchor", show_id("q", key))
        if entry.decision is not None:
            raise Conflict(f"it was decided already: {entry.decision}")
        if decision == "retire":
            await self.retire(project, entry.anchor_set, (entry.item,), entry.reason)
        if not await quarantine.decide(db, project.id, key, decision=decision, note=note, now=self.now()):
            raise Conflict("somebody decided this a moment ago; reload to see how it stands")
        if decision == "keep":
            await self._recalibrate(project, entry.anchor_set)
        after = await quarantine.get_quarantined(db, project.id, key)
        assert after is not None  # rows are never deleted
        return after

    async def recover(self) -> int:
        """End what a stopped process left running."""
        return await audits.close_abandoned_audits(self.means.db, now=self.now())

    def _start(self, asked: Asked) -> None:
        self.spawn(self._carry_out(asked), f"audit {show_id('au', asked.audit.id)}")

    async def _carry_out(self, asked: Asked) -> None:
        end = audits.end_audit
        db, audit = self.means.db, asked.audit
        try:
            outcome = await self.kinds[audit.kind].run(asked, self.means)
        except (InsufficientData, NotIdentified) as few:
            refused = Findings(AuditVerdict.OPEN, f"The data cannot tell: {few}.")
            await end(db, audit.id, AuditStatus.REFUSED, findings=refused, now=self.now())
        except BadInput as bad:
            words = "; ".join(_words(one) for one in bad.problems[:20])
            said = f"{bad.summary} {words}".strip()
            await end(db, audit.id, AuditStatus.FAILED, error=said, now=self.now())
        except asyncio.CancelledError:
            await end(db, audit.id, AuditStatus.FAILED, error="The service stopped.", now=self.now())
            raise
        except Exception as error:
            log.error("an audit broke", audit=show_id("au", audit.id), exc_info=error)
            said = "Something went wrong inside; it has been logged."
            await end(db, audit.id, AuditStatus.FAILED, error=said, now=self.now())
        else:
            await self._end(asked, outcome)
        finally:
            if asked.file is not None:
                asked.file.close()

    async def _end(self, asked: Asked, outcome: Outcome) -> None:
        db, audit = self.means.db, asked.audit
        if outcome.put_aside and audit.anchor_set is not None:
            new = await quarantine.put_aside(
                db, asked.project.id, anchor_set=audit.anchor_set, audit_id=audit.id,
                reasons=outcome.put_aside, cause=outcome.cause, now=self.now(),
            )  # fmt: skip
            if new:
                await self._recalibrate(asked.project, audit.anchor_set)
        await audits.end_audit(db, audit.id, AuditStatus.DONE, findings=outcome.findings, now=self.now())

    async def _recalibrate(self, project: Project, anchor_set: str) -> None:
        grades = await anchor_grades(self.means.db, project.id, anchor_set)
        versions = await anchors.anchor_set_versions(self.means.db, project.id, anchor_set)
        rubric = await rubrics.get_rubric(self.means.db, project.id, versions[0].rubric)
        if rubric is not None:
            known = {one.name for one in rubric.rubric.criteria}
            touched = sorted({one.criterion for one in grades} & known)
            await self.changed(project, rubric, tuple(touched))


def _read(how: Kind, raw: Mapping[str, Any]) -> Parameters:
    try:
        return how.parameters.model_validate(dict(raw))
    except ValidationError as error:
        problems = [
            Problem(
                "is no parameter of this audit"
                if one["type"] == "extra_forbidden"
                else one["msg"].replace("Input should", "must", 1),
                path=".".join(("parameters", *map(str, one["loc"]))),
                value=one.get("input"),
            )
            for one in error.errors(include_url=False)
        ]
        raise BadInput("The parameters do not fit.", problems) from None


def _words(one: Problem) -> str:
    where = f"row {one.row}" if one.row else one.path or ""
    return " ".join(part for part in (where, one.column or "", one.problem) if part)
