"""Seats that wait for a batch at their judge's provider: queued by chunk, read again as they were asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, outerjoin, select, update

from app.domain.batches import BatchMode, BatchStatus
from app.domain.judging import JudgeVersion, Seat
from app.domain.rubrics import RubricVersion
from app.storage.assignments import AssignedGrade
from app.storage.batches import chunk_id
from app.storage.catalog import AnswerRef
from app.storage.chunks import ClaimedChunk, ClaimLost
from app.storage.database import Database
from app.storage.tables import (
    answers,
    batch_chunks,
    batch_requests,
    batches,
    grades,
    provider_requests,
    seats,
    systems,
)

_AT_ONCE = 500
_SHARE = {"provider_batch_id": None, "tries": 0}


@dataclass(frozen=True, slots=True)
class Queued:
    """A seat to be sent with a batch: its request takes ``size`` bytes and costs at most ``worst_usd``."""

    grade_id: int
    position: int
    number: int
    judge_version_id: int
    size: int
    worst_usd: float


@dataclass(frozen=True, slots=True)
class Filling:
    """A running batch of the providers' mode; ``filling`` while chunks of it still bring requests."""

    id: int
    project_id: int
    filling: bool


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a batch at a provider; ``number`` is of its item within the batch of ours."""

    grade_id: int
    position: int
    chunk: int
    number: int
    tries: int
    worst_usd: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a chunk's requests are read from; ``requests`` is None once they are forgotten."""

    first: int
    requests: bytes | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A seat as it was drawn. ``seed`` is its panel's."""

    grade_id: int
    rubric_version_id: int
    item_id: int
    answers: tuple[AnswerRef, ...]
    seed: int
    position: int
    order: tuple[int, ...]
    inclusion_probability: float
    replaces: int | None

    def seat(self, judge: JudgeVersion) -> Seat:
        """The seat of that judge."""
        return Seat(self.position, judge, self.order, self.inclusion_probability, self.replaces)

    def assigned(self, project_id: int, rubric: RubricVersion) -> AssignedGrade:
        """Its grade, as recording a reply needs it."""
        return AssignedGrade(self.grade_id, project_id, rubric, self.item_id, self.answers)


async def queue(db: Database, chunk: ClaimedChunk, queued: Sequence[Queued]) -> None:
    """Let these seats wait for a batch, and the chunk with them: it is handed over again once they are back.

    Raises
    ------
    ClaimLost
        If the chunk is not this worker's any more.
    """
    c = batch_chunks.c
    shared = {"batch_id": chunk.batch_id, "project_id": chunk.project.id, "chunk": chunk.number, **_SHARE}
    rows = [
        {
            **shared,
            "grade_id": one.grade_id,
            "position": one.position,
            "number": one.number,
            "judge_version_id": one.judge_version_id,
            "size": one.size,
            "worst_usd": one.worst_usd,
        }
        for one in queued
    ]

    def work(connection: Connection) -> None:
        rests = update(batch_chunks).where(c.id == chunk.id, c.claim == chunk.claim)
        awaited = func.coalesce(c.awaited, 0) + len(rows)
        changed = connection.execute(rests.values(process_id=None, claim=None, round=0, awaited=awaited))
        if changed.rowcount == 0:
            raise ClaimLost("the chunk was taken over by another worker")
        for start in range(0, len(rows), _AT_ONCE):
            connection.execute(insert(provider_requests), rows[start : start + _AT_ONCE])

    await db.alone(work)


async def filling_batches(db: Database) -> tuple[Filling, ...]:
    """Running batches whose seats go by the providers' batches, oldest first."""
    c = batch_chunks.c
    more = exists().where(c.batch_id == batches.c.id, ~c.done, func.coalesce(c.awaited, 0) == 0)
    query = (
        select(batches.c.id, batches.c.project_id, more.label("filling"))
        .where(batches.c.status == BatchStatus.RUNNING.value, batches.c.mode == BatchMode.BATCH.value)
        .order_by(batches.c.id)
    )
    return await db.read(
        lambda x: tuple(Filling(r.id, r.project_id, bool(r.filling)) for r in x.execute(query))
    )


async def count_queued(db: Database, batch_id: int, judge_version_id: int, most: int) -> int:
    """How many requests for a judge are in no batch yet; counted up to ``most``."""
    r = provider_requests.c
    some = (
        select(r.position)
        .where(r.batch_id == batch_id, r.judge_version_id == judge_version_id, r.provider_batch_id.is_(None))
        .limit(most)
        .subquery()
    )
    return await db.read(lambda c: int(c.execute(select(func.count()).select_from(some)).scalar_one()))


async def release_orphans(db: Database, batch_id: int, judge_version_ids: Sequence[int]) -> int:
    """Let seats be asked one by one whose judge is none of these, so that nobody would send them."""
    r = provider_requests.c
    orphans = (
        select(r.grade_id, r.position, r.chunk)
        .where(
            r.batch_id == batch_id,
            r.provider_batch_id.is_(None),
            r.judge_version_id.not_in(judge_version_ids),
        )
        .limit(_AT_ONCE)
    )

    def work(connection: Connection) -> int:
        found = connection.execute(orphans.with_for_update()).all()
        drop(connection, batch_id, [(row.grade_id, row.position, row.chunk) for row in found])
        return len(found)

    if not await db.read(lambda connection: connection.execute(orphans.limit(1)).first()):
        return 0
    return await db.alone(work)


def drop(connection: Connection, batch_id: int, keys: Sequence[tuple[int, int, int]]) -> None:
    """These (grade, position, chunk) wait no longer."""
    r, c = provider_requests.c, batch_chunks.c
    by_chunk: dict[int, int] = {}
    for grade_id, position, chunk in keys:
        gone = delete(provider_requests).where(r.grade_id == grade_id, r.position == position)
        if connection.execute(gone).rowcount:
            key = chunk_id(batch_id, chunk)
            by_chunk[key] = by_chunk.get(key, 0) + 1
    for key in sorted(by_chunk):
        fewer = update(batch_chunks).where(c.id == key).values(awaited=c.awaited - by_chunk[key])
        connection.execute(fewer)


async def requests_of(
    db: Database, provider_batch_id: int, after: tuple[int, int, int], limit: int
) -> tuple[Request, ...]:
    """Requests of a batch at a provider in the order of (chunk, grade, position), from the one after."""
    r = provider_requests.c
    chunk, grade_id, position = after
    following = (r.chunk > chunk) | (
        (r.chunk == chunk) & ((r.grade_id > grade_id) | ((r.grade_id == grade_id) & (r.position > position)))
    )
    query = (
        select(r.grade_id, r.position, r.chunk, r.number, r.tries, r.worst_usd)
        .where(r.provider_batch_id == provider_batch_id, following)
        .order_by(r.chunk, r.grade_id, r.position)
        .limit(limit)
    )
    return await db.read(lambda c: tuple(Request(*row) for row in c.execute(query)))


async def chunk_of(db: Database, batch_id: int, number: int) -> Chunk:
    """The requests of a chunk, as its caller sent them."""
    both = outerjoin(batch_chunks, batch_requests, batch_requests.c.chunk_id == batch_chunks.c.id)
    query = select(batch_chunks.c.first, batch_requests.c.requests).select_from(both)
    query = query.where(batch_chunks.c.id == chunk_id(batch_id, number))

    def work(connection: Connection) -> Chunk:
        row = connection.execute(query).one()
        return Chunk(row.first, None if row.requests is None else bytes(row.requests))

    return await db.read(work)


async def asked_seats(db: Database, requests: Sequence[Request]) -> Mapping[tuple[int, int], Asked]:
    """The seats of these requests, by grade and position, read together."""
    ids = sorted({one.grade_id for one in requests})
    wanted = {(one.grade_id, one.position) for one in requests}
    s, g = seats.c, grades.c
    drawn = (
        select(
            s.grade_id,
            s.position,
            s.shown,
            s.inclusion_probability,
            s.replaces,
            g.seed,
            g.item_id,
            g.answer_ids,
            g.rubric_version_id,
        )
        .join_from(seats, grades, g.id == s.grade_id)
        .where(s.grade_id.in_(ids))
    )

    def work(connection: Connection) -> Mapping[tuple[int, int], Asked]:
        rows = [r for r in connection.execute(drawn).all() if (r.grade_id, r.position) in wanted]
        written = {row.grade_id: json.loads(row.answer_ids) for row in rows}
        known = _answers(connection, {key for keys in written.values() for key in keys})
        return {
            (row.grade_id, row.position): Asked(
                grade_id=row.grade_id,
                rubric_version_id=row.rubric_version_id,
                item_id=row.item_id,
                answers=tuple(known[key] for key in written[row.grade_id]),
                seed=int(row.seed),
                position=row.position,
                order=tuple(json.loads(row.shown)),
                inclusion_probability=row.inclusion_probability,
                replaces=row.replaces,
            )
            for row in rows
        }

    return await db.read(work)


def _answers(connection: Connection, ids: set[int]) -> dict[int, AnswerRef]:
    query: Any = (
        select(answers.c.id, answers.c.system_id, systems.c.name)
        .join_from(answers, systems, answers.c.system_id == systems.c.id)
        .where(answers.c.id.in_(sorted(ids)))
    )
    return {row.id: AnswerRef(row.id, row.system_id, row.name) for row in connection.execute(query)}
