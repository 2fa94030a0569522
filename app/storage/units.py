"""Units of evidence: which answer or pair each verdict is about, numbered, with what is known of it."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from app.storage.columns import distinct, fetch_for, is_one_of, look_up
from app.storage.database import Database
from app.storage.tables import answers, item_strata, items, strata, systems

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

_DAY = 86_400_000
"""Milliseconds."""


@dataclass(frozen=True, slots=True)
class Said:
    """Verdicts as stored: the answer, the other of a pair (-1: none), the value, the place shown."""

    answer: Ids
    other: Ids
    value: Floats
    place: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Numbered:
    """Verdicts about numbered units; -1 where the unit is none of them.

    ``turn`` is -1 where finding out the texts of a pair turned it round: value and place were too.
    """

    unit: Ints
    value: Floats
    place: NDArray[np.int8]
    turn: Floats


@dataclass(frozen=True, slots=True)
class Units:
    """Columns of units, as `Evidence` documents them."""

    unit_id: Ids
    item: Ints
    item_ids: Ids
    prompt: Ints
    system: Ints
    other_system: Ints
    length: Floats
    other_length: Floats
    day: Ints
    answer_id: Ids
    other_answer_id: Ids
    strata: dict[str, Ints]
    stratum_values: dict[str, tuple[str, ...]]
    systems: tuple[str, ...]
    system_families: tuple[str | None, ...]
    system_models: tuple[str | None, ...]
    ambiguous: int


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers by id, ascending; ``text`` 0 where it is not known, ``day`` (from 1970) when first seen."""

    id: Ids
    item: Ids
    system: Ids
    text: Ids
    length: Floats
    day: Ids


def number_units(
    connection: Connection, pairs: bool, judged: Said, graded: Said, *, only_first: bool
) -> tuple[Units, tuple[Numbered, Numbered]]:
    """Number the units of both kinds of verdicts; with ``only_first`` those of ``judged`` alone.

    An answer that was named without its text becomes the only answer with a text of that system to
    that item, if there is exactly one.
    """
    named = [judged.answer, graded.answer, *([judged.other, graded.other] if pairs else [])]
    known = _answers(connection, distinct(np.concatenate(named)))
    known, meant, ambiguous = _with_texts(connection, known)
    (j_key, j_turn, j_answers), (h_key, h_turn, h_answers) = (
        _keys(known, meant, pairs, said) for said in (judged, graded)
    )
    every = j_key if only_first else np.concatenate([j_key, h_key])
    unit_id, first = np.unique(every, return_index=True)
    both = [np.concatenate([a, b]) for a, b in zip(j_answers, h_answers, strict=True)]
    answer, other = (column[first] for column in both)
    units = _describe(connection, known, unit_id, answer, other, ambiguous)
    return units, (_numbered(unit_id, j_key, j_turn, judged), _numbered(unit_id, h_key, h_turn, graded))


def _answers(connection: Connection, ids: Ids) -> _Answers:
    a = answers.c
    text = func.coalesce(a.text_id, 0)
    query = select(a.id, a.item_id, a.system_id, text, a.len_words, a.created_at)
    types = (np.int64, np.int64, np.int64, np.int64, np.float64, np.int64)
    *columns, seen = fetch_for(connection, query, a.id, ids, types)
    columns.append(seen // _DAY)
    order = np.argsort(columns[0])
    return _Answers(*(column[order] for column in columns))


def _with_texts(connection: Connection, known: _Answers) -> tuple[_Answers, Ids, int]:
    """Answers with those that text-less ones may stand for; per answer its place among them that is
    meant (its own, if it has a text or none is found); and how many could mean more than one."""
    bare = known.text == 0
    a = answers.c
    query = select(a.id, a.item_id, a.system_id).where(a.text_id.is_not(None))
    types = (np.int64, np.int64, np.int64)
    found, item, system = fetch_for(connection, query, a.item_id, distinct(known.item[bare]), types)
    order = np.lexsort((found, system, item))
    found, item, system = found[order], item[order], system[order]
    starts = np.flatnonzero(np.r_[True, (item[1:] != item[:-1]) | (system[1:] != system[:-1])][: len(item)])
    sizes = np.diff(np.r_[starts, len(item)])
    candidates = {
        (int(item[s]), int(system[s])): (int(found[s]), int(n)) for s, n in zip(starts, sizes, strict=True)
    }
    stands_for = known.id.copy()
    ambiguous = 0
    for place in np.flatnonzero(bare):
        text, n = candidates.get((int(known.item[place]), int(known.system[place])), (0, 0))
        if n == 1:
            stands_for[place] = text
        ambiguous += n > 1
    new = np.setdiff1d(stands_for, known.id)
    every = _merged(known, _answers(connection, new)) if len(new) else known
    meant = np.arange(len(every.id))
    meant[look_up(known.id, every.id)] = look_up(stands_for, every.id)
    return every, meant, ambiguous


def _merged(one: _Answers, two: _Answers) -> _Answers:
    columns = [
        np.concatenate([getattr(part, field.name) for part in (one, two)]) for field in fields(_Answers)
    ]
    order = np.argsort(columns[0])
    return _Answers(*(column[order] for column in columns))


def _keys(
    known: _Answers, meant: Ids, pairs: bool, said: Said
) -> tuple[Ids, NDArray[np.bool_], tuple[Ids, Ids]]:
    """Per verdict the unit's id, whether the pair was turned round, and its answers (places)."""
    answer = meant[look_up(said.answer, known.id)]
    if not pairs:
        return known.id[answer], np.zeros(len(answer), bool), (answer, np.full(len(answer), -1))
    other = meant[look_up(said.other, known.id)]
    # Systems' names have ordered the pair already; only answers of one system may change places.
    turned = (known.system[answer] == known.system[other]) & (known.id[answer] > known.id[other])
    answer, other = np.where(turned, other, answer), np.where(turned, answer, other)
    return _pair_id(known.id[answer], known.id[other]), turned, (answer, other)


def _pair_id(first: Ids, second: Ids) -> Ids:
    """A positive 63-bit id of an ordered pair of ids (the finaliser of splitmix64, twice)."""
    mixed = _mix(_mix(first.astype(np.uint64)) ^ second.astype(np.uint64))
    return (mixed >> np.uint64(1)).astype(np.int64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _numbered(unit_id: Ids, key: Ids, turned: NDArray[np.bool_], said: Said) -> Numbered:
    turn = np.where(turned, -1.0, 1.0)
    place = np.where(turned & (said.place >= 0), 1 - said.place, said.place).astype(np.int8)
    return Numbered(look_up(key, unit_id).astype(np.int32), turn * said.value, place, turn)


def _describe(
    connection: Connection, known: _Answers, unit_id: Ids, answer: Ids, other: Ids, ambiguous: int
) -> Units:
    both = other >= 0
    item_ids, item = np.unique(known.item[answer], return_inverse=True)
    system_ids = np.unique(np.concatenate([known.system[answer], known.system[other[both]]]))
    names, families, models, code = _systems(connection, system_ids)
    by_item, values = _strata(connection, item_ids)
    other_system = np.full(len(other), -1, np.int32)
    other_system[both] = code[look_up(known.system[other[both]], system_ids)]
    other_length, other_id = np.full(len(other), np.nan), np.full(len(other), -1, np.int64)
    other_length[both], other_id[both] = known.length[other[both]], known.id[other[both]]
    day = known.day[answer].copy()
    day[both] = np.maximum(day[both], known.day[other[both]])
    return Units(
        unit_id=unit_id,
        item=item.astype(np.int32),
        item_ids=item_ids,
        prompt=_prompts(connection, item_ids)[item].astype(np.int32),
        system=code[look_up(known.system[answer], system_ids)],
        other_system=other_system,
        length=known.length[answer],
        other_length=other_length,
        day=day.astype(np.int32),
        answer_id=known.id[answer],
        other_answer_id=other_id,
        strata={name: codes[item] for name, codes in by_item.items()},
        stratum_values=values,
        systems=names,
        system_families=families,
        system_models=models,
        ambiguous=ambiguous,
    )


def _systems(
    connection: Connection, ids: Ids
) -> tuple[tuple[str, ...], tuple[str | None, ...], tuple[str | None, ...], Ints]:
    """Names, families and models by code, in the order of names; and the code of each of ``ids``."""
    s = systems.c
    query = select(s.id, s.name, s.family, s.model).where(is_one_of(connection, s.id, ids.tolist()))
    rows = sorted(connection.execute(query), key=lambda row: row.name)
    code = np.empty(len(ids), np.int32)
    code[look_up(np.array([row.id for row in rows], np.int64), ids)] = np.arange(len(rows))
    names, families, models = (tuple(row[k] for row in rows) for k in (1, 2, 3))
    return names, families, models, code


def _prompts(connection: Connection, item_ids: Ids) -> Ids:
    """Prompt code per item: items of one prompt share it, an item without a prompt is its own."""
    query = select(items.c.id, func.coalesce(items.c.prompt_text_id, items.c.id))
    key, prompt = fetch_for(connection, query, items.c.id, item_ids, (np.int64, np.int64))
    codes = np.unique(prompt, return_inverse=True)[1]
    by_item = np.empty(len(item_ids), np.int64)
    by_item[look_up(key, item_ids)] = codes
    return by_item


async def strata_of_items(db: Database, item_ids: Ids) -> tuple[dict[str, Ints], dict[str, tuple[str, ...]]]:
    """Per stratum name the code of each of the items (ids, ascending; -1 missing), and the values by code."""
    return await db.read(lambda c: _strata(c, item_ids))


def _strata(connection: Connection, item_ids: Ids) -> tuple[dict[str, Ints], dict[str, tuple[str, ...]]]:
    """Per stratum name the code of each item (-1 missing), and the values by code, in their order."""
    query = select(item_strata.c.item_id, item_strata.c.stratum_id)
    item, stratum = fetch_for(connection, query, item_strata.c.item_id, item_ids, (np.int64, np.int64))
    some = is_one_of(connection, strata.c.id, distinct(stratum).tolist())
    rows = connection.execute(select(strata).where(some)).all()
    codes: dict[str, Ints] = {}
    values: dict[str, tuple[str, ...]] = {}
    for name in sorted({row.name for row in rows}):
        groups = sorted((row for row in rows if row.name == name), key=lambda row: row.value)
        values[name] = tuple(row.value for row in groups)
        codes[name] = np.full(len(item_ids), -1, np.int32)
        ids = np.array([row.id for row in groups], np.int64)
        order = np.argsort(ids)
        place = look_up(stratum, ids[order])
        mine = place >= 0
        codes[name][look_up(item[mine], item_ids)] = order[place[mine]]
    return codes, values
