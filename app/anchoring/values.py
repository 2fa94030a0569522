"""What a score or a verdict is worth on our scales, and when it is none."""

from collections.abc import Callable, Mapping
from typing import Any

from app.anchoring.cells import WrongCell, number
from app.anchoring.mapping import Uploaded, text_of
from app.anchoring.table import Cell
from app.domain.rubrics import Criterion, Rubric, Scale

_SIDES = {"a": 1.0, "b": -1.0, "tie": 0.0}

ValueKey = tuple[str, Any, Cell, Any, Any, Any]
"""(score or verdict, criterion, cell, scale_min, scale_max, why unscored), the latter already read."""


def value_reader(
    rubric: Rubric, what: Uploaded, values: Mapping[str, Mapping[str, Cell]]
) -> Callable[[ValueKey], float | None]:
    """A function from a `ValueKey` to a value on the criterion's scale, or in [-1, 1] for a pair.

    An unscored row has the value None, whatever stands in its cell. A neighbouring cell that is wrong
    already makes the value None too: one problem per cause.
    """
    criteria = {criterion.name: criterion for criterion in rubric.criteria}
    pairwise = rubric.kind == "pairwise"
    from_people = what is Uploaded.ANCHORS

    def read(key: ValueKey) -> float | None:
        name, criterion, cell, low, high, reason = key
        if reason is not None or any(type(part) is WrongCell for part in (criterion, low, high)):
            return None
        words = values.get(name, {})
        text = text_of(cell)
        cell = words[text] if text in words else words.get("*", cell) if text else cell
        if not text_of(cell):
            raise WrongCell("is missing" if from_people else "is missing, and unscored gives no reason")
        if name == "verdict":
            return _side(cell)
        if pairwise:
            return _preference(number(cell), low, high)
        return _score(cell, criteria[criterion], low, high, from_people)

    return read


def _side(cell: Cell) -> float:
    found = _SIDES.get(text_of(cell).lower())
    if found is None:
        raise WrongCell("is not A, B or tie")
    return found


def _preference(score: float | None, low: float | None, high: float | None) -> float:
    """A graded preference as a signed number: ``low`` says B by most (-1), ``high`` A by most (+1)."""
    if score is None or low is None or high is None or low == high:
        raise WrongCell("needs a scale_min and another scale_max beside it")
    if not min(low, high) <= score <= max(low, high):
        raise WrongCell("is outside scale_min to scale_max")
    return 2.0 * (score - low) / (high - low) - 1.0


def _score(
    cell: Cell, criterion: Criterion, low: float | None, high: float | None, from_people: bool
) -> float:
    scale = criterion.scale
    if (low is not None and low != scale.low) or (high is not None and high != scale.high):
        raise WrongCell(
            f"stands beside another scale_min or scale_max than {criterion.name}'s {_ends(scale)};"
            " change the rubric's scale, or the file"
        )
    label = text_of(cell).casefold()
    for place, known in enumerate(scale.labels, 1):
        if label == known.casefold():
            return float(place)
    value = number(cell)
    if value is None or not scale.holds(value):
        raise WrongCell(f"is outside {criterion.name}'s scale, {_ends(scale)}")
    if from_people and not scale.on_step(value):
        raise WrongCell(
            f"lies between the steps of {criterion.name}'s scale, {_ends(scale)} by {scale.step:g}"
        )
    return value


def _ends(scale: Scale) -> str:
    return f"{scale.low:g} to {scale.high:g}"
