"""Audits: opened when they are asked for, ended once, never changed after."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.domain.audits import (
    Audit,
    AuditKind,
    AuditStatus,
    AuditTable,
    AuditVerdict,
    Estimate,
    Findings,
    TextPair,
)
from app.storage import processes
from app.storage.database import Database
from app.storage.paging import Page, page_of, read_number_cursor
from app.storage.rubrics import rubric_id
from app.storage.tables import audits, rubrics
from app.storage.times import from_ms, maybe_from_ms, to_ms
from app.storage.words import storable

_STOPPED = "The service stopped before the audit had ended; ask for it again."
_with_rubric = select(audits, rubrics.c.name.label("rubric")).join_from(audits, rubrics)


async def open_audit(
    db: Database,
    project_id: int,
    *,
    kind: AuditKind,
    rubric: str,
    criterion: str | None,
    anchor_set: str | None,
    version: int | None,
    parameters: Mapping[str, Any],
    now: datetime,
) -> Audit:
    """Put a running audit on record. The rubric must exist."""
    row = {
        "id": db.new_id(now),
        "project_id": project_id,
        "kind": kind,
        "rubric_id": rubric_id(project_id, rubric),
        "criterion": criterion,
        "anchor_set": anchor_set,
        "version": version,
        "status": AuditStatus.RUNNING,
        "process_id": db.process_id,
        "parameters": json.dumps(parameters),
        "created_at": to_ms(now),
    }

    def add(connection: Connection) -> Audit:
        connection.execute(insert(audits).values(row))
        return _audit(connection.execute(_with_rubric.where(audits.c.id == row["id"])).one())

    return await db.write(add)


async def end_audit(
    db: Database,
    audit_id: int,
    status: AuditStatus,
    *,
    findings: Findings | None = None,
    error: str | None = None,
    now: datetime,
) -> bool:
    """Take an audit from running to ``status``; False if it is not running any more."""
    values: dict[str, Any] = {"status": status, "error": None if error is None else storable(error)}
    values["finished_at"] = to_ms(now)
    if findings is not None:
        values["findings"] = json.dumps(asdict(findings))
    running = update(audits).where(audits.c.id == audit_id, audits.c.status == AuditStatus.RUNNING)
    return await db.write(lambda c: c.execute(running.values(values)).rowcount == 1)


async def close_abandoned_audits(db: Database, *, now: datetime) -> int:
    """End as failed what dead processes left running; returns how many."""

    def close(connection: Connection) -> int:
        alive = processes.living(connection, now) | {db.process_id}
        abandoned = update(audits).where(
            audits.c.status == AuditStatus.RUNNING, audits.c.process_id.not_in(alive)
        )
        failed = {"status": AuditStatus.FAILED, "error": _STOPPED, "finished_at": to_ms(now)}
        return connection.execute(abandoned.values(failed)).rowcount

    return await db.write(close)


async def get_audit(db: Database, project_id: int, audit_id: int) -> Audit | None:
    """An audit of the project by id."""
    query = _with_rubric.where(audits.c.id == audit_id, audits.c.project_id == project_id)
    row = await db.read(lambda c: c.execute(query).one_or_none())
    return None if row is None else _audit(row)


async def list_audits(
    db: Database,
    project_id: int,
    *,
    kind: AuditKind | None = None,
    anchor_set: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Audit]:
    """The project's audits, newest first."""
    query = _with_rubric.where(audits.c.project_id == project_id).order_by(audits.c.id.desc())
    if kind is not None:
        query = query.where(audits.c.kind == kind)
    if anchor_set is not None:
        query = query.where(audits.c.anchor_set == anchor_set)
    before = read_number_cursor(cursor)
    if before is not None:
        query = query.where(audits.c.id < before)
    found = await db.read(lambda c: tuple(map(_audit, c.execute(query.limit(limit + 1)))))
    return page_of(found, limit, lambda audit: audit.id)


def _audit(row: Any) -> Audit:
    return Audit(
        id=row.id,
        kind=AuditKind(row.kind),
        rubric=row.rubric,
        criterion=row.criterion,
        anchor_set=row.anchor_set,
        version=row.version,
        status=AuditStatus(row.status),
        parameters=json.loads(row.parameters),
        findings=None if row.findings is None else _findings(json.loads(row.findings)),
        error=row.error,
        created_at=from_ms(row.created_at),
        finished_at=maybe_from_ms(row.finished_at),
    )


def _findings(raw: Mapping[str, Any]) -> Findings:
    return Findings(
        verdict=AuditVerdict(raw["verdict"]),
        summary=raw["summary"],
        estimates=tuple(
            Estimate(**{**one, "interval": one["interval"] and tuple(one["interval"])})
            for one in raw["estimates"]
        ),
        tables=tuple(
            AuditTable(
                **{**one, "columns": tuple(one["columns"]), "rows": tuple(tuple(row) for row in one["rows"])}
            )
            for one in raw["tables"]
        ),
        pairs=tuple(TextPair(**one) for one in raw["pairs"]),
        warnings=tuple(raw["warnings"]),
    )
