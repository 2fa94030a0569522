"""Anchors and their changes as CSV and as JSON: one layout for the API and the pages."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from app.anchoring.anchor_sets import AnchorMember, Change
from app.anchoring.corrections import guarded

_PAIR = ("system_a", "answer_a", "system_b", "answer_b")
_ONE = ("system", "answer")
_PIECE = 200


def changes_csv(changes: Sequence[Change]) -> Iterator[str]:
    """One row per change."""
    names = ("change", *_change_cells(changes[0])) if changes else ("change",)
    yield _lines([names])
    for start in range(0, len(changes), _PIECE):
        yield _lines(
            [one.kind.value, *_change_cells(one).values()] for one in changes[start : start + _PIECE]
        )


def changes_json(changes: Sequence[Change]) -> Iterator[str]:
    """One array."""
    yield "["
    for place, one in enumerate(changes):
        text = json.dumps({"change": one.kind.value, **_change_cells(one)}, ensure_ascii=False)
        yield f"{',' if place else ''}\n{text}"
    yield "\n]\n"


def _change_cells(one: Change) -> dict[str, Any]:
    grade = one.grade
    return {
        "item": grade.item,
        "system": grade.system,
        "other_system": grade.other_system,
        "criterion": grade.criterion,
        "annotator": grade.annotator,
        "annotator_type": grade.annotator_type,
        "before": one.before,
        "after": one.after,
    }


async def members_csv(members: AsyncIterator[AnchorMember], pairs: bool) -> AsyncIterator[str]:
    """A file that an upload reads again: texts as they are, also those a spreadsheet takes for formulas."""
    first = True
    held: list[Sequence[Any]] = []
    async for one in members:
        cells = _member_cells(one, pairs)
        if first:
            yield _lines([tuple(cells)], guard=False)
            first = False
        held.append(["" if cell is None else cell for cell in cells.values()])
        if len(held) >= _PIECE:
            yield _lines(held, guard=False)
            held = []
    if held:
        yield _lines(held, guard=False)


async def members_json_lines(members: AsyncIterator[AnchorMember], pairs: bool) -> AsyncIterator[str]:
    """The same, one object per line."""
    async for one in members:
        yield json.dumps(_member_cells(one, pairs), ensure_ascii=False) + "\n"


def _member_cells(one: AnchorMember, pairs: bool) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "item_id": one.item,
        "prompt": one.prompt,
        "context": one.context,
        "reference": one.reference,
    }
    if pairs:
        cells |= dict(zip(_PAIR, (one.system, one.answer, one.other_system, one.other_answer), strict=True))
        cells |= {"criterion": one.criterion, "score": one.value, "scale_min": -1, "scale_max": 1}
    else:
        cells |= dict(zip(_ONE, (one.system, one.answer), strict=True))
        cells |= {"criterion": one.criterion, "score": one.value}
    return cells | {
        "annotator": one.annotator,
        "annotator_type": one.annotator_type,
        "graded_at": None if one.graded_at is None else one.graded_at.isoformat(),
        "source": one.source,
        "blind": one.blind if one.blind is None else str(one.blind).lower(),
        "inclusion_probability": one.inclusion_probability,
    }


def _lines(rows: Any, *, guard: bool = True) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([guarded(cell) if guard else cell for cell in row] for row in rows)
    return text.getvalue()
