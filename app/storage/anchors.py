"""Anchor sets: what people said, growing by versions that never change.

A human verdict is a member of its set from one version until before another, so a version is
stored as what it changed.
"""

import asyncio
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from app.domain.anchors import AnchorSetOfAnotherRubric, AnchorSetVersion, HumanVerdict, Retirement
from app.domain.ids import content_id, show_id
from app.domain.rubrics import RubricVersion
from app.storage import tables
from app.storage.anchor_content import content_hash
from app.storage.catalog import Catalog
from app.storage.database import Database
from app.storage.locks import one_at_a_time
from app.storage.paging import Page, page_of, read_cursor
from app.storage.pairings import place_on_record
from app.storage.rubrics import criterion_ids, rubric_id
from app.storage.statements import Insert, Row, by_id
from app.storage.times import from_ms, to_ms
from app.storage.words import name_of
from app.storage.writer import write_rows

ANNOTATORS = Insert(
    tables.annotators, ("id", "project_id", "name", "type"), ignore=True, prepare=by_id, remember=True
)
_MEMBERS = Insert(
    tables.human_verdicts, tuple(c.name for c in tables.human_verdicts.columns if c.name != "removed_in")
)
_SAID = ("value", "source", "blind", "inclusion_probability", "graded_at")  # what makes a grade another one


@dataclass(frozen=True, slots=True)
class _Member:
    """One human verdict on its way into a set."""

    unit_key: int
    key_columns: Row
    said: Row


async def add_anchor_version(
    db: Database,
    project_id: int,
    *,
    rubric: RubricVersion,
    name: str,
    verdicts: Sequence[HumanVerdict],
    sha256: str,
    replace: bool = False,
    warnings: Sequence[str] = (),
    now: datetime,
) -> AnchorSetVersion:
    """Add human verdicts to a set, as its next version; the set is made if it is not there.

    A verdict of the same annotator on the same answers and criterion replaces the earlier one. With
    ``replace`` the verdicts become the whole set. All or nothing. What changes nothing makes no
    version: a file (by its ``sha256``) that the set was made from before, unless it replaces a
    later one, or verdicts that are all there already; the version that stands is returned then.

    Raises
    ------
    AnchorSetOfAnotherRubric
        If the set belongs to another rubric.
    ItemConflict
        If an item's id already stands for another prompt.
    BadInput
        If a name cannot be stored.
    ValueError
        If two verdicts are of the same annotator on the same answers and criterion.
    KeyError
        If a verdict's criterion is not one of the rubric's.
    """
    catalog = Catalog(project_id, to_ms(now))
    members = await asyncio.to_thread(_members, catalog, rubric, verdicts)
    set_id = content_id(project_id, "anchor set", name_of(name, "anchor_set"))

    def add(connection: Connection) -> AnchorSetVersion:
        one_at_a_time(connection, set_id)
        latest = _latest(connection, set_id)
        if latest is not None and latest.rubric != rubric.rubric.name:
            raise AnchorSetOfAnotherRubric(name, latest.rubric, rubric.rubric.name)
        same = _of_file(connection, set_id, sha256)
        if same is not None and (not replace or same == latest):
            return same
        write_rows(connection, catalog.rows)
        gone, new = _changes(connection, set_id, members, replace)
        if latest is not None and not gone and not new:
            return latest
        if latest is None:
            _make_set(connection, project_id, set_id, rubric, name, catalog.at)
        version = 1 if latest is None else latest.version + 1
        _remove(connection, gone, version)
        set_columns = (project_id, set_id, rubric.id)
        _MEMBERS.execute(
            connection,
            [
                # Not a random id: in a large file two would meet.
                (
                    content_id(set_id, version, one.unit_key),
                    *(*set_columns, *one.key_columns, one.unit_key, *one.said, catalog.at, version),
                )
                for one in new
            ],
        )
        made_from = {"sha256": sha256, "replace": replace, "warnings": json.dumps(list(warnings))}
        change = {"added": len(new), "removed": len(gone), "created_at": catalog.at}
        _make_version(connection, project_id, set_id, version, made_from | change)
        made = _latest(connection, set_id)
        assert made is not None  # it was just inserted
        return made

    return await db.write(add)


async def retire_members(
    db: Database,
    project_id: int,
    name: str,
    *,
    items: Collection[str] = (),
    annotators: Collection[str] = (),
    everything: bool = False,
    reason: str,
    dry_run: bool = False,
    now: datetime,
) -> tuple[AnchorSetVersion, Retirement] | None:
    """Take items (the caller's ids), all of annotators (names), or everything out of a set: its next version.

    None if there is no such set; the version that stands if nothing in it is one of them, or in a dry run.
    """
    set_id = content_id(project_id, "anchor set", name)
    wanted = {"items": sorted(items), "annotators": sorted(annotators), "everything": everything}
    about = {"retire": wanted, "reason": reason}
    at, these, people = to_ms(now), frozenset(items), frozenset(annotators)

    def retire(connection: Connection) -> tuple[AnchorSetVersion, Retirement] | None:
        one_at_a_time(connection, set_id)
        latest = _latest(connection, set_id)
        if latest is None:
            return None
        standing = _standing(connection, project_id, set_id)
        rows = [row for row in standing if everything or _is_one(row, these, people)]
        names = {name for row in standing for name in (row.item, row.item_id_shown)}
        known = names | {row.annotator for row in standing}
        what = Retirement(
            grades=len(rows),
            items=len({row.item_id for row in rows}),
            annotators=len({row.annotator for row in rows}),
            unknown=tuple(sorted({*items, *annotators} - known)),
        )
        if not rows or dry_run:
            return latest, what
        gone = [row.id for row in rows]
        version = latest.version + 1
        _remove(connection, gone, version)
        digest = sha256(json.dumps([name, version, about], sort_keys=True).encode()).hexdigest()
        made_from = {"sha256": digest, "replace": False, "warnings": json.dumps([f"Retired: {reason}"])}
        change = {"added": 0, "removed": len(gone), "created_at": at}
        _make_version(connection, project_id, set_id, version, made_from | change)
        made = _latest(connection, set_id)
        assert made is not None  # it was just inserted
        return made, what

    return await db.write(retire)


async def list_anchor_sets(
    db: Database,
    project_id: int,
    *,
    rubric: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AnchorSetVersion]:
    """The latest version of each anchor set, by name."""
    sets = tables.anchor_sets.c
    query = (
        _versions()
        .where(sets.project_id == project_id, tables.anchor_set_versions.c.version == sets.latest_version)
        .order_by(sets.name)
        .limit(limit + 1)
    )
    if rubric is not None:
        query = query.where(sets.rubric_id == rubric_id(project_id, rubric))
    after = read_cursor(cursor)
    if after is not None:
        query = query.where(sets.name > after)
    found = await db.read(lambda c: tuple(map(_version, c.execute(query))))
    return page_of(found, limit, lambda version: version.anchor_set)


async def anchor_set_versions(db: Database, project_id: int, name: str) -> tuple[AnchorSetVersion, ...]:
    """Every version of an anchor set, newest first; empty if there is no such set."""
    set_id = content_id(project_id, "anchor set", name)
    query = (
        _versions()
        .where(tables.anchor_sets.c.id == set_id)
        .order_by(tables.anchor_set_versions.c.version.desc())
    )

    def read(connection: Connection) -> tuple[AnchorSetVersion, ...]:
        found = map(_version, connection.execute(query).all())
        return tuple(
            one
            if one.content_sha256  # versions made before it was kept still have all their members
            else changed(one, content_sha256=content_hash(connection, set_id, one.version))
            for one in found
        )

    return await db.read(read)


def _members(catalog: Catalog, rubric: RubricVersion, verdicts: Sequence[HumanVerdict]) -> dict[int, _Member]:
    criteria = criterion_ids(catalog.project_id, rubric.rubric)
    members: dict[int, _Member] = {}
    for verdict in verdicts:
        by = verdict.provenance
        person = (name_of(by.annotator, "annotator"), name_of(by.annotator_type, "annotator_type"))
        annotator = content_id(catalog.project_id, "annotator", *person)
        catalog.put(ANNOTATORS, (annotator, catalog.project_id, *person))
        about = place_on_record(catalog, verdict.about)
        criterion = criteria[verdict.criterion]
        other, other_system = (about.other.id, about.other.system_id) if about.other else (None, None)
        key = content_id(criterion, about.answer.id, other, annotator)
        if key in members:
            raise ValueError(
                f"annotator {by.annotator!r} has two verdicts on item {verdict.about.item_id!r},"
                f" criterion {verdict.criterion!r}"
            )
        answers = (about.answer.id, other, about.answer.system_id, other_system)
        columns = (criterion, annotator, about.item_id, *answers)
        graded_at = None if by.graded_at is None else to_ms(by.graded_at)
        source = None if by.source is None else name_of(by.source, "source")
        said = (about.sign * float(verdict.value), source, by.blind, by.inclusion_probability, graded_at)
        members[key] = _Member(key, columns, said)
    return members


def _changes(
    connection: Connection, set_id: int, members: dict[int, _Member], replace: bool
) -> tuple[list[int], list[_Member]]:
    """Ids of rows that leave the set, and members that enter it."""
    rows = tables.human_verdicts.c
    standing = connection.execute(
        select(rows.id, rows.unit_key, *(rows[name] for name in _SAID)).where(
            rows.anchor_set_id == set_id, rows.removed_in.is_(None)
        )
    )
    gone, unchanged = [], set()
    for key, unit, *said in standing:
        if unit in members and members[unit].said == tuple(said):
            unchanged.add(unit)
        elif replace or unit in members:
            gone.append(key)
    return gone, [member for unit, member in members.items() if unit not in unchanged]


@dataclass(frozen=True, slots=True)
class _Standing:
    """A member of a set now, by the names it can be called by."""

    id: int
    item_id: int
    item: str
    item_id_shown: str
    annotator: str


def _standing(connection: Connection, project_id: int, set_id: int) -> list[_Standing]:
    h, i, a = tables.human_verdicts.c, tables.items.c, tables.annotators.c
    rows = connection.execute(
        select(h.id, h.item_id, i.external_id, a.name)
        .join_from(tables.human_verdicts, tables.items, i.id == h.item_id)
        .join(tables.annotators, a.id == h.annotator_id)
        .where(h.anchor_set_id == set_id, h.removed_in.is_(None), h.project_id == project_id)
    )
    return [
        _Standing(row.id, row.item_id, row.external_id or shown, shown, row.name)
        for row in rows
        for shown in (show_id("item", row.item_id),)
    ]


def _is_one(row: _Standing, items: Collection[str], annotators: Collection[str]) -> bool:
    return row.item in items or row.item_id_shown in items or row.annotator in annotators


def _remove(connection: Connection, ids: Iterable[int], version: int) -> None:
    rows = tables.human_verdicts
    leave = update(rows).where(rows.c.id == bindparam("row")).values(removed_in=version)
    parameters = [{"row": key} for key in ids]
    if parameters:
        connection.execute(leave, parameters)


def _make_set(
    connection: Connection, project_id: int, set_id: int, rubric: RubricVersion, name: str, at: int
) -> None:
    row = {"id": set_id, "project_id": project_id, "name": name, "latest_version": 0, "created_at": at}
    owner = rubric_id(project_id, rubric.rubric.name)
    connection.execute(insert(tables.anchor_sets).values(row | {"rubric_id": owner}))


def _make_version(
    connection: Connection, project_id: int, set_id: int, version: int, columns: dict[str, Any]
) -> None:
    rows, sets = tables.human_verdicts.c, tables.anchor_sets
    counts = connection.execute(
        select(
            func.count(func.distinct(rows.item_id)).label("items"),
            func.count().label("grades"),
            func.count(func.distinct(rows.annotator_id)).label("annotators"),
        ).where(rows.anchor_set_id == set_id, rows.removed_in.is_(None))
    ).one()
    key = {"id": content_id(set_id, version), "project_id": project_id, "anchor_set_id": set_id}
    order = {"version": version, "parent": version - 1 or None}
    content = {"content_sha256": content_hash(connection, set_id, None)}
    row = key | order | columns | dict(counts._mapping) | content
    connection.execute(insert(tables.anchor_set_versions).values(row))
    connection.execute(update(sets).where(sets.c.id == set_id).values(latest_version=version))


def _versions() -> Any:
    sets, rubrics = tables.anchor_sets, tables.rubrics
    return (
        select(tables.anchor_set_versions, sets.c.name, rubrics.c.name.label("rubric"))
        .join(sets, sets.c.id == tables.anchor_set_versions.c.anchor_set_id)
        .join(rubrics, rubrics.c.id == sets.c.rubric_id)
    )


def _latest(connection: Connection, set_id: int) -> AnchorSetVersion | None:
    newest = tables.anchor_set_versions.c.version.desc()
    row = connection.execute(
        _versions().where(tables.anchor_sets.c.id == set_id).order_by(newest).limit(1)
    ).one_or_none()
    return None if row is None else _version(row)


def _of_file(connection: Connection, set_id: int, sha256: str) -> AnchorSetVersion | None:
    versions = tables.anchor_set_versions.c
    row = connection.execute(
        _versions()
        .where(versions.anchor_set_id == set_id, versions.sha256 == sha256)
        .order_by(versions.version.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _version(row)


def _version(row: Any) -> AnchorSetVersion:
    return AnchorSetVersion(
        anchor_set=row.name,
        rubric=row.rubric,
        version=row.version,
        items=row.items,
        grades=row.grades,
        annotators=row.annotators,
        sha256=row.sha256,
        created_at=from_ms(row.created_at),
        parent=row.parent,
        added=row.added,
        removed=row.removed,
        warnings=tuple(json.loads(row.warnings)),
        content_sha256=row.content_sha256,
    )
