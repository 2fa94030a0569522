"""Texts of some units: whole prompts drawn at random, so that anchors and traffic can be compared by what
they say in bounded time and memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, func, select

from app.storage.columns import distinct, fetch_for, look_up
from app.storage.tables import answers, items, texts

Ids = NDArray[np.int64]

_LETTERS = 2_000  # bytes of each text that are read
_KNOWN = 0.9  # share of the drawn units that must have a kind of text, for it to be used


@dataclass(frozen=True, slots=True)
class SampledTexts:
    """``unit`` int64 (t,), ascending, and the text (t,) of each: its prompt and its answers, as far as nearly
    all units drawn have them."""

    unit: Ids
    texts: tuple[str, ...]


NO_TEXTS = SampledTexts(np.zeros(0, np.int64), ())


def sample_texts(
    connection: Connection,
    *,
    prompt: NDArray[np.int32],
    item: NDArray[np.int32],
    item_ids: Ids,
    answer_id: Ids,
    other_answer_id: Ids,
    graded: NDArray[np.int32],
    most: int,
) -> SampledTexts:
    """Texts of about ``most`` units at most: half of them, or fewer, of prompts with ``graded`` units.

    Which are drawn hangs on the number of units alone, so that a load can be repeated.
    """
    rng = np.random.default_rng(len(prompt))
    with_grades = np.unique(prompt[graded])
    others = np.setdiff1d(prompt, with_grades)
    chosen = _whole(prompt, rng.permutation(with_grades), most // 2)
    chosen |= _whole(prompt, rng.permutation(others), most - int(chosen.sum()))
    unit = np.flatnonzero(chosen)
    if len(unit) == 0:
        return NO_TEXTS
    answer = _texts_of(connection, answers.c.id, answers.c.text_id, answer_id[unit])
    parts = [_texts_of(connection, items.c.id, items.c.prompt_text_id, item_ids[item[unit]]), answer]
    if (other_answer_id >= 0).any():
        other = _texts_of(connection, answers.c.id, answers.c.text_id, other_answer_id[unit])
        parts[1] = [
            None if a is None or b is None else f"{a}\n{b}" for a, b in zip(answer, other, strict=True)
        ]
    used = [part for part in parts if np.mean([text is not None for text in part]) >= _KNOWN]
    whole = [
        None if None in texts_of else "\n".join(map(str, texts_of)) for texts_of in zip(*used, strict=True)
    ]
    kept = np.array([text is not None for text in whole], dtype=bool)
    if not used:
        return NO_TEXTS
    return SampledTexts(unit[kept], tuple(text for text in whole if text is not None))


def _whole(prompt: NDArray[np.int32], order: NDArray[np.int32], most: int) -> NDArray[np.bool_]:
    """Units of the first prompts of ``order`` that together have no more than ``most``."""
    size = np.bincount(prompt)[order]
    return np.isin(prompt, order[np.cumsum(size) <= most])


def _texts_of(connection: Connection, key: Column[int], text: Column[int], ids: Ids) -> list[str | None]:
    """The text of every id, cut; None where there is none."""
    query = select(key, func.substr(texts.c.body, 1, _LETTERS)).join_from(
        key.table, texts, texts.c.id == text
    )
    found, bodies = fetch_for(connection, query, key, distinct(ids), (np.int64, object))
    order = np.argsort(found)
    place = look_up(ids, found[order])
    bodies = bodies[order]
    return [bytes(bodies[k]).decode(errors="ignore") if k >= 0 else None for k in place.tolist()]
