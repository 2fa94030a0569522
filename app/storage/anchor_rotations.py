"""How old and how exposed the anchors of a set are, and the rotations that renewed it."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from app.domain.calibration import RunStatus
from app.domain.ids import content_id
from app.domain.rotation import AnchorAge, Rotation, RotationPolicy
from app.storage.anchor_texts import item_name
from app.storage.database import Database
from app.storage.tables import (
    anchor_exports,
    anchor_rotations,
    anchor_set_versions,
    anchor_sets,
    calibrations,
    criteria,
    human_verdicts,
    items,
    systems,
)
from app.storage.times import from_ms, to_ms


@dataclass(slots=True)
class _Item:
    """What is gathered of one item while rows go by."""

    name: str
    born: int
    grades: int = 0
    systems: set[str] = field(default_factory=set)
    answers: set[int] = field(default_factory=set)
    spans: set[tuple[str, int, int | None]] = field(default_factory=set)


async def anchor_ages(db: Database, project_id: int, name: str) -> tuple[AnchorAge, ...]:
    """Every item that stands in the set now, by name; empty if there is no such set."""
    set_id = content_id(project_id, "anchor set", name)
    return await db.read(lambda c: _ages(c, project_id, set_id, name))


async def add_rotation(
    db: Database,
    project_id: int,
    name: str,
    *,
    before_version: int,
    after_version: int,
    queue: str | None,
    policy: RotationPolicy,
    retired: tuple[str, ...],
    warnings: tuple[str, ...],
    now: datetime,
) -> Rotation:
    """Keep a rotation on record."""
    key = db.new_id(now)
    row = {
        "id": key,
        "project_id": project_id,
        "anchor_set_id": content_id(project_id, "anchor set", name),
        "before_version": before_version,
        "after_version": after_version,
        "queue": queue,
        "policy": json.dumps(policy.as_dict()),
        "retired": json.dumps(list(retired), ensure_ascii=False),
        "warnings": json.dumps(list(warnings), ensure_ascii=False),
        "created_at": to_ms(now),
    }
    await db.write(lambda c: c.execute(insert(anchor_rotations).values(row)).rowcount)
    return Rotation(
        key, name, before_version, after_version, queue, policy, retired, warnings, from_ms(to_ms(now))
    )


async def list_rotations(db: Database, project_id: int, name: str) -> tuple[Rotation, ...]:
    """Every rotation of a set, the newest first."""
    r = anchor_rotations.c
    query = (
        select(anchor_rotations, anchor_sets.c.name)
        .join_from(anchor_rotations, anchor_sets)
        .where(r.anchor_set_id == content_id(project_id, "anchor set", name))
        .order_by(r.id.desc())
    )
    return await db.read(lambda c: tuple(map(_rotation, c.execute(query))))


async def retired_since(db: Database, project_id: int, name: str, since: datetime) -> frozenset[str]:
    """Items (by the callers' ids) that rotations took out of a set since then."""
    done = await list_rotations(db, project_id, name)
    return frozenset(item for one in done if one.created_at > since for item in one.retired)


async def calibration_on(
    db: Database, project_id: int, *, rubric: str, criterion: str, anchor_set: str, low: int, high: int | None
) -> int | None:
    """The newest calibration that is done and rests on a version of the set from ``low`` to ``high``."""
    runs = calibrations.c
    query = (
        select(runs.id, runs.snapshot)
        .where(
            runs.project_id == project_id,
            runs.rubric_id == content_id(project_id, "rubric", rubric),
            runs.criterion == criterion,
            runs.status == RunStatus.DONE,
        )
        .order_by(runs.id.desc())
    )

    def find(connection: Connection) -> int | None:
        for row in connection.execute(query):
            version = _version_in(row.snapshot, anchor_set)
            if version is not None and low <= version <= (version if high is None else high):
                return int(row.id)
        return None

    return await db.read(find)


def _ages(connection: Connection, project_id: int, set_id: int, name: str) -> tuple[AnchorAge, ...]:
    v = anchor_set_versions.c
    made = {
        row.version: row.created_at
        for row in connection.execute(select(v.version, v.created_at).where(v.anchor_set_id == set_id))
    }
    found = _items(connection, set_id, made)
    exported = sorted(
        connection.execute(
            select(anchor_exports.c.version).where(anchor_exports.c.anchor_set_id == set_id)
        ).scalars()
    )
    rested = _rested(connection, project_id, set_id, name)
    return tuple(
        AnchorAge(
            item_id=key,
            item=one.name,
            born=from_ms(one.born),
            grades=one.grades,
            systems=tuple(sorted(one.systems)),
            answer_ids=tuple(sorted(one.answers)),
            calibrations=_calibrations(one, rested),
            exports=_most({(low, high) for _, low, high in one.spans}, exported),
        )
        for key, one in sorted(found.items(), key=lambda pair: pair[1].name)
        if one.grades
    )


def _items(connection: Connection, set_id: int, made: dict[int, int]) -> dict[int, _Item]:
    h, others = human_verdicts.c, systems.alias()
    rows = connection.execute(
        select(
            h.item_id, items.c.external_id, h.answer_id, h.other_answer_id, systems.c.name.label("system"),
            others.c.name.label("other"), criteria.c.name.label("criterion"), h.added_in, h.removed_in,
        )
        .select_from(human_verdicts)
        .join(items, items.c.id == h.item_id)
        .join(systems, systems.c.id == h.system_id)
        .outerjoin(others, others.c.id == h.other_system_id)
        .join(criteria, criteria.c.id == h.criterion_id)
        .where(h.anchor_set_id == set_id)
    )  # fmt: skip
    found: dict[int, _Item] = {}
    for row in rows:
        born = made[row.added_in]
        one = found.setdefault(row.item_id, _Item(item_name(row.external_id, row.item_id), born))
        one.born = min(one.born, born)
        one.spans.add((row.criterion, row.added_in, row.removed_in))
        if row.removed_in is None:
            one.grades += 1
            one.systems |= {row.system, *([row.other] if row.other else [])}
            one.answers |= {row.answer_id, *([row.other_answer_id] if row.other_answer_id else [])}
    return found


def _rested(connection: Connection, project_id: int, set_id: int, name: str) -> dict[str, list[int]]:
    """Criterion -> versions of the set that calibrations rested on, each as often as it was, sorted."""
    runs = calibrations.c
    owner = select(anchor_sets.c.rubric_id).where(anchor_sets.c.id == set_id).scalar_subquery()
    query = select(runs.criterion, runs.snapshot).where(
        runs.project_id == project_id, runs.rubric_id == owner, runs.status == RunStatus.DONE
    )
    found: dict[str, list[int]] = defaultdict(list)
    for row in connection.execute(query):
        version = _version_in(row.snapshot, name)
        if version is not None:
            found[row.criterion].append(version)
    return {criterion: sorted(versions) for criterion, versions in found.items()}


def _version_in(snapshot: str, name: str) -> int | None:
    for one in json.loads(snapshot).get("anchor_sets", ()):
        if one["name"] == name:
            return int(one["version"])
    return None


def _calibrations(one: _Item, rested: dict[str, list[int]]) -> int:
    spans: dict[str, set[tuple[int, int | None]]] = defaultdict(set)
    for criterion, low, high in one.spans:
        spans[criterion].add((low, high))
    return sum(_most(many, rested.get(criterion, [])) for criterion, many in spans.items())


def _most(spans: set[tuple[int, int | None]], versions: list[int]) -> int:
    """How many of these versions had the item: those within any of the spans."""
    within: Counter[int] = Counter()
    for low, high in spans:
        end = len(versions) if high is None else bisect_left(versions, high)
        within.update(range(bisect_left(versions, low), end))
    return len(within)


def _rotation(row: Any) -> Rotation:
    return Rotation(
        id=row.id,
        anchor_set=row.name,
        before_version=row.before_version,
        after_version=row.after_version,
        queue=row.queue,
        policy=RotationPolicy(**json.loads(row.policy)),
        retired=tuple(json.loads(row.retired)),
        warnings=tuple(json.loads(row.warnings)),
        created_at=from_ms(row.created_at),
    )
