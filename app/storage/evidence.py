"""Evidence: all that judges and people said on one criterion, as arrays for the statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from app.domain.anchors import SIMULATED_PEOPLE
from app.domain.judging import JudgeVersion
from app.domain.rubrics import Criterion, RubricKind
from app.storage import ledger
from app.storage.columns import distinct, fetch, fetch_for, is_one_of
from app.storage.database import Database
from app.storage.judge_versions import judges_by_id
from app.storage.layouts import marks_of
from app.storage.quarantine import is_quarantined
from app.storage.rubrics import criterion_ids, latest_rubric, rubric_id
from app.storage.sampled_texts import NO_TEXTS, SampledTexts, sample_texts
from app.storage.tables import (
    anchor_sets,
    annotators,
    answers,
    human_verdicts,
    imports,
    judge_versions,
    rubric_versions,
    second_stages,
    tallies,
    verdicts,
)
from app.storage.units import Said, Units, number_units

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """n units (an answer or, for pairs, a canonical pair), m judge verdicts, k human verdicts.

    Names
        ``criterion`` as in the rubric's latest version; ``rubric_versions`` that the verdicts were
        made under. ``systems``, ``system_families``, ``stratum_values[name]``, ``judges``,
        ``annotators``, ``annotator_types`` are indexed by the codes below; so are ``system_models``.
        ``judge_version_ids`` int64 (J,).
    Units
        ``unit_id`` int64 (n,), ascending, the same in every load; ``answer_id``, ``other_answer_id``
        int64 (n,), the last -1 for an answer alone. ``item``, ``prompt`` int32 (n,) codes (items of
        one prompt share its code; ``item_ids`` int64 by item code); ``system``, ``other_system``
        int32 (n,), the last -1 for an answer alone. ``length``, ``other_length`` float64 (n,) words,
        NaN unknown. ``day`` int32 (n,): days from 1970-01-01 (UTC) to when the answer (of a pair the
        later one) was first seen. ``marks``, ``other_marks`` float64 (n,) marks of layout
        (`domain.layout`), of units that people graded only; NaN unknown. ``strata``: name -> int32 (n,),
        -1 missing.
    Judge verdicts, in the order of recording
        ``v_unit``, ``v_judge`` int32 (m,). ``v_value`` float64 (m,): on the criterion's own scale; for a
        pair +1, 0 or -1, positive where the canonical first (``system``) wins; NaN unscored.
        ``v_expected`` likewise, NaN where the provider gave no distribution. ``v_place`` int8 (m,):
        for a pair 0 if the canonical first was shown first, 1 if second; for a list the place
        shown; 0 for an answer alone; -1 unknown. ``v_draw`` int16 (m,) from 1. ``v_inclusion``
        float64 (m,), NaN for imported verdicts. ``v_unscored`` int8 (m,): -1 scored, else the index in
        `UnscoredReason`. ``v_rubric_version`` int32 (m,).
        ``v_chance`` float64 (m,): with which the second stage of the verdict's panel was asked, NaN for a
        panel with one stage; ``v_second`` bool (m,): the verdict is of that second stage; ``v_grade`` int64
        (m,): the panel's grade, -1 for imported verdicts. All empty where no panel had two stages.
    Human verdicts (one per annotator and unit: the newest, where anchor sets overlap)
        ``h_unit``, ``h_annotator`` int32 (k,), ``h_value`` float64 (k,) on the same scale as ``v_value``,
        ``h_inclusion`` float64 (k,), NaN where not logged.
    Snapshot
        ``anchor_versions``: (set, version). ``newest_verdict``: every verdict up to this number is
        here, none after; pass it as ``after_verdict`` to load what came later. ``simulated``: whether the
        judges are simulated ones. ``left_out``: whether there are simulated verdicts that were left out
        for real ones. ``ambiguous``: answers given without text that could be more than one of
        their system's answers to the item. ``sha256`` of everything above except ``newest_verdict`` and
        ``day``: the same data, brought in again, are the same.
        ``sampled``: texts of some units, if they were asked for.
    """

    kind: RubricKind
    criterion: Criterion
    rubric_versions: tuple[int, ...]
    unit_id: Ids
    item: Ints
    item_ids: Ids
    prompt: Ints
    system: Ints
    other_system: Ints
    length: Floats
    other_length: Floats
    day: Ints
    marks: Floats
    other_marks: Floats
    answer_id: Ids
    other_answer_id: Ids
    strata: dict[str, Ints]
    stratum_values: dict[str, tuple[str, ...]]
    systems: tuple[str, ...]
    system_families: tuple[str | None, ...]
    system_models: tuple[str | None, ...]
    v_unit: Ints
    v_judge: Ints
    v_value: Floats
    v_expected: Floats
    v_place: NDArray[np.int8]
    v_draw: NDArray[np.int16]
    v_inclusion: Floats
    v_unscored: NDArray[np.int8]
    v_rubric_version: Ints
    judges: tuple[JudgeVersion, ...]
    judge_version_ids: Ids
    h_unit: Ints
    h_value: Floats
    h_annotator: Ints
    h_inclusion: Floats
    annotators: tuple[str, ...]
    annotator_types: tuple[str, ...]
    anchor_versions: tuple[tuple[str, int], ...]
    newest_verdict: int
    simulated: bool
    left_out: bool
    ambiguous: int
    sha256: str
    sampled: SampledTexts = NO_TEXTS
    v_chance: Floats = field(default_factory=lambda: np.zeros(0))
    v_second: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    v_grade: Ids = field(default_factory=lambda: np.zeros(0, np.int64))


async def load_evidence(
    db: Database,
    project_id: int,
    rubric_name: str,
    criterion: str,
    *,
    anchor_sets: Sequence[str] | None = None,
    after_verdict: int = 0,
    simulated: bool | None = None,
    texts: int = 0,
) -> Evidence:
    """Everything said on a criterion, as one snapshot.

    ``anchor_sets`` names the sets to use, at their latest versions; None means all of the rubric.
    With ``after_verdict`` only verdicts that came after that number are loaded, and the units and
    human verdicts that they touch. ``simulated`` None takes real verdicts if there are any.
    ``texts``: of how many units to load the text.
    Verdicts under another scale, direction or kind of the same rubric are not part of it.

    Raises
    ------
    KeyError
        If the project has no such rubric, criterion or anchor set; the message names it.
    """
    wanted = None if anchor_sets is None else tuple(sorted(set(anchor_sets)))
    return await db.read(
        lambda c: _load(c, project_id, rubric_name, criterion, wanted, after_verdict, simulated, texts)
    )


@dataclass(frozen=True, slots=True)
class _Votes:
    """Judge verdicts as they are stored, before units are numbered."""

    judge: Ids
    rubric_version: Ids
    said: Said
    expected: Floats
    inclusion: Floats
    draw: NDArray[np.int16]
    unscored: NDArray[np.int8]
    stages: dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Grades:
    """Human verdicts as they are stored, before units are numbered."""

    annotator: Ids
    said: Said
    inclusion: Floats


def _load(
    connection: Connection,
    project_id: int,
    rubric_name: str,
    criterion: str,
    sets: tuple[str, ...] | None,
    after: int,
    simulated: bool | None,
    texts: int,
) -> Evidence:
    latest = latest_rubric(connection, project_id, rubric_name)
    if latest is None:
        raise KeyError(f"there is no rubric {rubric_name!r}")
    content = latest.rubric.criterion(criterion)
    key = criterion_ids(project_id, latest.rubric)[criterion]
    newest = ledger.newest(connection)
    real, planted = _kinds_of_judges(connection, key)
    take_simulated = (planted and not real) if simulated is None else simulated
    votes = _votes(connection, project_id, key, after, take_simulated)
    anchor_versions = _anchor_versions(connection, project_id, rubric_name, sets)
    # After a snapshot only what people said of the same items matters.
    items = _items_of(connection, votes.said) if after > 0 else None
    grades = _grades(connection, key, [set_id for set_id, _, _ in anchor_versions], items, take_simulated)
    pairs = latest.rubric.kind is RubricKind.PAIRWISE
    units, (v, h) = number_units(connection, pairs, votes.said, grades.said, only_first=after > 0)
    judge_ids, v_judge = np.unique(votes.judge, return_inverse=True)
    judges = judges_by_id(connection, judge_ids.tolist())
    versions = _rubric_versions(connection, rubric_id(project_id, rubric_name))
    version_ids, v_version = np.unique(votes.rubric_version, return_inverse=True)
    numbers = np.array([versions[int(one)] for one in version_ids], np.int32)
    kept = _one_per_annotator(h.unit, grades.annotator)
    people, h_annotator = np.unique(grades.annotator[kept], return_inverse=True)
    names, types = _annotators(connection, people.tolist())
    marks, other_marks = _marks(connection, units, np.unique(h.unit[kept]))
    parts: dict[str, Any] = _unit_columns(units) | {
        "marks": marks,
        "other_marks": other_marks,
        "kind": latest.rubric.kind,
        "criterion": content,
        "rubric_versions": tuple(sorted(int(number) for number in numbers)),
        "v_unit": v.unit,
        "v_judge": v_judge.astype(np.int32),
        "v_value": v.value,
        "v_expected": v.turn * votes.expected,
        "v_place": v.place,
        "v_draw": votes.draw,
        "v_inclusion": votes.inclusion,
        "v_unscored": votes.unscored,
        "v_rubric_version": numbers[v_version].astype(np.int32),
        "judges": tuple(judges[int(one)] for one in judge_ids),
        "judge_version_ids": judge_ids,
        "h_unit": h.unit[kept],
        "h_value": h.value[kept],
        "h_annotator": h_annotator.astype(np.int32),
        "h_inclusion": grades.inclusion[kept],
        "annotators": names,
        "annotator_types": types,
        "anchor_versions": tuple((name, version) for _, name, version in anchor_versions),
        "simulated": take_simulated,
        "left_out": real and planted and not take_simulated,
    }
    parts |= votes.stages
    sampled = _sampled(connection, units, h.unit[kept], texts) if texts else NO_TEXTS
    return Evidence(**parts, newest_verdict=newest, sha256=_digest(parts), sampled=sampled)


def _kinds_of_judges(connection: Connection, criterion: int) -> tuple[bool, bool]:
    """Whether there are verdicts of real and of simulated judges."""
    rows = connection.execute(
        select(judge_versions.c.simulated)
        .distinct()
        .join(tallies, tallies.c.judge_version_id == judge_versions.c.id)
        .where(tallies.c.criterion_id == criterion)
    )
    found = {bool(row[0]) for row in rows}
    return False in found, True in found


def _votes(connection: Connection, project_id: int, criterion: int, after: int, simulated: bool) -> _Votes:
    v = verdicts.c
    query = (
        select(
            v.judge_version_id,
            v.rubric_version_id,
            v.answer_id,
            func.coalesce(v.other_answer_id, -1),
            v.draw,
            v.place,
            v.value,
            v.expected,
            v.inclusion_probability,
            v.unscored,
        )
        .where(v.criterion_id == criterion, v.simulated.is_(simulated))
        .where(*_visible(connection, project_id, after))
        .order_by(v.id)
    )
    i64, f64 = np.int64, np.float64
    types: list[Any] = [i64, i64, i64, i64, np.int16, np.int8, f64, f64, f64, np.int8]
    staged = connection.execute(_any_second_stage(project_id)).first() is not None
    if staged:  # what a join costs per verdict is paid by those who have two stages
        s = second_stages.c
        query = query.outerjoin(second_stages, s.grade_id == v.grade_id)
        second = func.coalesce(v.position >= s.position, False)
        query = query.add_columns(s.chance, second, func.coalesce(v.grade_id, -1))
        types += [f64, np.bool_, i64]
    judge, version, answer, other, draw, place, value, expected, inclusion, unscored, *stages = fetch(
        connection, query, types
    )
    said = Said(answer, other, value, place)
    named = dict(zip(("v_chance", "v_second", "v_grade"), stages, strict=True)) if staged else {}
    return _Votes(judge, version, said, expected, inclusion, draw, unscored, named)


def _any_second_stage(project_id: int) -> Select[tuple[int]]:
    return select(second_stages.c.grade_id).where(second_stages.c.project_id == project_id).limit(1)


def _visible(connection: Connection, project_id: int, after: int) -> list[ColumnElement[bool]]:
    """Conditions on verdicts: of finished imports only, and newer than ``after``.

    An import's verdicts are as new as the moment at which they became visible.
    """
    rows = connection.execute(
        select(imports.c.id, imports.c.ledger_from, imports.c.visible_from).where(
            imports.c.project_id == project_id,
            imports.c.visible_from.is_(None) | (imports.c.visible_from > after),
        )
    ).all()
    hidden = [row.id for row in rows if row.visible_from is None]
    shown = [row for row in rows if row.visible_from is not None]
    if after == 0:
        return [or_(verdicts.c.import_id.is_(None), verdicts.c.import_id.not_in(hidden))] if hidden else []
    newer = [and_(verdicts.c.import_id.is_(None), verdicts.c.id > after)]
    for row in shown:
        numbers = verdicts.c.id.between(row.ledger_from, row.visible_from)
        newer.append(and_(numbers, verdicts.c.import_id == row.id))
    return [or_(*newer)]


def _anchor_versions(
    connection: Connection, project_id: int, rubric_name: str, sets: tuple[str, ...] | None
) -> list[tuple[int, str, int]]:
    """(id, name, latest version) of the sets to use, by name."""
    rows = connection.execute(
        select(anchor_sets.c.id, anchor_sets.c.name, anchor_sets.c.latest_version)
        .where(anchor_sets.c.rubric_id == rubric_id(project_id, rubric_name))
        .order_by(anchor_sets.c.name)
    )
    found = [(row.id, row.name, row.latest_version) for row in rows]
    missing = set(sets or ()) - {name for _, name, _ in found}
    if missing:
        raise KeyError(f"the rubric {rubric_name!r} has no anchor set {sorted(missing)}")
    return [one for one in found if sets is None or one[1] in sets]


def _items_of(connection: Connection, said: Said) -> Ids:
    query = select(answers.c.item_id).distinct()
    (found,) = fetch_for(connection, query, answers.c.id, distinct(said.answer), [np.int64])
    return distinct(found)


def _grades(
    connection: Connection, criterion: int, sets: list[int], items: Ids | None, simulated: bool
) -> _Grades:
    """What people said and no audit put aside; made-up people only beside ``simulated`` judges."""
    h = human_verdicts.c
    query = (
        select(
            h.annotator_id,
            h.answer_id,
            func.coalesce(h.other_answer_id, -1),
            h.value,
            h.inclusion_probability,
        )
        .where(h.criterion_id == criterion, h.removed_in.is_(None), h.anchor_set_id.in_(sets))
        .where(~is_quarantined())
        .order_by(h.recorded_at, h.unit_key, h.id)
    )
    if items is not None:
        query = query.where(is_one_of(connection, h.item_id, items.tolist()))
    if not simulated:
        made_up = select(annotators.c.id).where(annotators.c.type == SIMULATED_PEOPLE)
        query = query.where(h.annotator_id.not_in(made_up))
    types = (np.int64, np.int64, np.int64, np.float64, np.float64)
    annotator, answer, other, value, inclusion = fetch(connection, query, types)
    place = np.zeros(len(value), np.int8)
    return _Grades(annotator, Said(answer, other, value, place), inclusion)


def _one_per_annotator(unit: Ints, annotator: Ids) -> Ids:
    """Rows to keep, ascending: of each (unit, annotator) the last; rows of no unit (-1) go."""
    _, codes = np.unique(annotator, return_inverse=True)
    pair = unit.astype(np.int64) * (codes.max(initial=0) + 1) + codes
    _, last = np.unique(pair[::-1], return_index=True)
    rows = np.sort(len(pair) - 1 - last)
    return rows[unit[rows] >= 0]


def _annotators(connection: Connection, ids: list[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    a = annotators.c
    rows = connection.execute(select(a.id, a.name, a.type).where(is_one_of(connection, a.id, ids)))
    by_id = {row.id: row for row in rows}
    return tuple(by_id[one].name for one in ids), tuple(by_id[one].type for one in ids)


def _rubric_versions(connection: Connection, rubric: int) -> dict[int, int]:
    """The number of every version by its id; versions of the same content count as the newest of them."""
    rows = connection.execute(
        select(rubric_versions.c.id, rubric_versions.c.version, rubric_versions.c.digest).where(
            rubric_versions.c.rubric_id == rubric
        )
    ).all()
    newest: dict[str, int] = {}
    for row in rows:
        newest[row.digest] = max(row.version, newest.get(row.digest, 0))
    return {row.id: newest[row.digest] for row in rows}


def _marks(connection: Connection, units: Units, graded: Ints) -> tuple[Floats, Floats]:
    """Marks of layout of the graded units' answers, and of their others."""
    found = []
    for ids in (units.answer_id, units.other_answer_id):
        column = np.full(len(ids), np.nan)
        column[graded] = marks_of(connection, ids[graded])
        found.append(column)
    return found[0], found[1]


def _sampled(connection: Connection, units: Units, graded: Ints, most: int) -> SampledTexts:
    return sample_texts(
        connection, prompt=units.prompt, item=units.item, item_ids=units.item_ids,
        answer_id=units.answer_id, other_answer_id=units.other_answer_id, graded=graded, most=most,
    )  # fmt: skip


def _unit_columns(units: Units) -> dict[str, Any]:
    return {field.name: getattr(units, field.name) for field in fields(units)}


def _digest(parts: dict[str, Any]) -> str:
    """SHA-256 of names and arrays, in the order of field names."""
    digest = sha256()
    for name in sorted(parts.keys() - {"day"}):
        part = parts[name]
        for key, value in sorted(part.items()) if isinstance(part, dict) else [("", part)]:
            digest.update(f"{name}.{key}:".encode())
            if isinstance(value, np.ndarray):
                digest.update(f"{value.dtype}{value.shape}".encode())
                digest.update(np.ascontiguousarray(value).data)
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()
