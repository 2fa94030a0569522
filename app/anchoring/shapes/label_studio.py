"""Label Studio's JSON export: tasks with annotations by people, beside predictions by models."""

from collections.abc import Iterator
from typing import Any

from app.anchoring.shapes.shape import BY_A_MODEL, Reading, Said, a_value, extras, listed, mapped
from app.anchoring.table import Cell
from app.domain.problems import BadInput

_SIDES = {"left": "A", "right": "B"}
_VALUES = ("rating", "number", "choices", "pairwise")


def is_label_studio(first: Any) -> bool:
    """Whether a document's first object is a task with annotations."""
    return isinstance(first, dict) and isinstance(first.get("data"), dict) and "annotations" in first


def read_label_studio(tasks: Any, reading: Reading) -> Iterator[Said]:
    """One grade per annotation and control tag (rating, number, choices, pairwise).

    The tag's name is the question. ``data`` becomes columns; an item is named by its ``item_id`` or ``id``,
    or by the task. Predictions are not read; a result that is a prediction which nobody changed is barred.

    Raises
    ------
    BadInput
        If there are predictions but no annotations.
    """
    people = predictions = 0
    for task in map(mapped, listed(tasks)):
        predictions += len(listed(task.get("predictions")))
        for annotation in map(mapped, listed(task.get("annotations"))):
            people += 1
            if annotation.get("was_cancelled"):
                reading.left_out["annotations that were cancelled (skipped tasks)"] += 1
                continue
            yield from _annotation(task, annotation, reading)
    if predictions and not people:
        raise BadInput(
            f"The export has {predictions:,} predictions by models but no annotations: "
            "anchors are human grades."
        )
    if predictions:
        reading.left_out["predictions, which models made"] += predictions


def _annotation(task: dict[str, Any], annotation: dict[str, Any], reading: Reading) -> Iterator[Said]:
    data = mapped(task.get("data"))
    about: dict[str, Cell] = {
        "item_id": _text(data.get("item_id") or data.get("id")) or f"label-studio-{task.get('id')}",
        "annotator": _who(annotation.get("completed_by")),
        "annotator_type": _text(data.get("annotator_type")) or "annotator",
        "graded_at": _text(annotation.get("created_at") or annotation.get("updated_at")),
        "source": "Label Studio annotation",
    }
    taken = {**about, "id": None, "criterion": None, reading.value: None}
    about |= extras(data, taken)
    for result in map(mapped, listed(annotation.get("result"))):
        kind = result.get("type")
        if kind not in _VALUES:
            reading.left_out[f"answers of type {kind!r}, which hold no grade"] += 1
            continue
        barred = BY_A_MODEL if result.get("origin") == "prediction" else None
        yield Said(
            str(result.get("from_name") or kind),
            {**about, reading.value: _grade(mapped(result.get("value")), str(kind))},
            barred,
        )


def _grade(value: dict[str, Any], kind: str) -> Cell:
    if kind == "pairwise":
        side = _text(value.get("selected"))
        return _SIDES.get(side or "", side)
    said = value.get(kind)
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    return a_value(said)


def _who(completed_by: Any) -> str | None:
    if isinstance(completed_by, dict):
        named = next(
            (completed_by[key] for key in ("email", "username", "id") if completed_by.get(key)), None
        )
        return _who(named)
    return f"user {completed_by}" if isinstance(completed_by, int) else _text(completed_by)


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | float) and str(value).strip() else None
