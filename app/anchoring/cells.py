"""One cell at a time: what each kind of column accepts, and how it says no.

Columns hold few distinct values over many rows, so each is read once and remembered; that is what
makes a million rows a matter of seconds.
"""

import math
import re
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime
from typing import Any

from app.anchoring.mapping import text_of
from app.anchoring.table import Cell
from app.domain.anchors import SIMULATED_PEOPLE
from app.domain.judging import UnscoredReason, canonical_params
from app.domain.model_names import names_a_model, source_is_a_model

_REMEMBERED = 20_000
_NAME_LENGTH = 400
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class WrongCell(ValueError):
    """A cell that cannot be accepted, and why, in words that follow the column's name."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Remembered(dict[Any, Any]):
    """Cells already read: key -> what `read` made of it, or the `WrongCell` it raised."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self._read = read
        self.any_wrong = False

    def __missing__(self, key: Hashable) -> Any:
        try:
            value = self._read(key)
        except WrongCell as wrong:
            value, self.any_wrong = wrong, True
        if len(self) >= _REMEMBERED:
            self.clear()
        self[key] = value
        return value

    def column(self, cells: Iterable[Any]) -> list[Any]:
        """Every cell read, in order."""
        return list(map(self.__getitem__, cells))


def name(cell: Cell) -> str:
    """A name that must be there."""
    text = optional_name(cell)
    if text is None:
        raise WrongCell("is missing")
    return text


def optional_name(cell: Cell) -> str | None:
    """A short text on one line; None if empty."""
    if isinstance(cell, float) and not math.isfinite(cell):
        raise WrongCell("is NaN or infinite")
    text = text_of(cell)
    if len(text) > _NAME_LENGTH:
        raise WrongCell(f"is longer than {_NAME_LENGTH} characters")
    if "\0" in text:
        raise WrongCell("holds a NUL character")
    return text or None


def text(cell: Cell) -> str | None:
    """A text of any length, as it stands; None if empty."""
    if cell is None or cell == "":
        return None
    found = cell if isinstance(cell, str) else text_of(cell)
    if "\0" in found:
        raise WrongCell("holds a NUL character")
    return found


def number(cell: Cell) -> float | None:
    """A finite number with a decimal point; None if empty."""
    if isinstance(cell, int | float):
        if not math.isfinite(cell):
            raise WrongCell("is NaN or infinite, not a number")
        return float(cell)
    found = text_of(cell)
    if not found:
        return None
    if _NUMBER.fullmatch(found):
        value = float(found)
        if math.isfinite(value):
            return value
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", found):
        raise WrongCell("is not a number: write a decimal point, not a comma")
    if found.lower().lstrip("+-") in ("nan", "inf", "infinity") or _NUMBER.fullmatch(found):
        raise WrongCell("is NaN or infinite, not a number")
    raise WrongCell("is not a number")


def count(cell: Cell) -> int | None:
    """A whole number of at least 0; None if empty."""
    value = number(cell)
    if value is None:
        return None
    if value < 0 or not value.is_integer() or value > 2**31 - 1:
        raise WrongCell("is not a whole number of at least 0")
    return int(value)


def draw(cell: Cell) -> int:
    """Which repeat of the same question, from 1; 1 if empty."""
    value = count(cell)
    if value is None:
        return 1
    if not 1 <= value <= 32_767:
        raise WrongCell("is not a repeat's number (1 to 32767)")
    return value


def order(cell: Cell) -> int | None:
    """1 for the canonical order, 2 for the swapped one, 0 for ``both`` (merged); None if empty."""
    found = text_of(cell).lower()
    if not found:
        return None
    if found == "both":
        return 0
    if found in ("1", "2"):
        return int(found)
    raise WrongCell("is not an order: 1, 2 or both")


def probability(cell: Cell) -> float | None:
    """A probability above 0; None if empty."""
    value = number(cell)
    if value is not None and not 0 < value <= 1:
        raise WrongCell("is not a probability above 0 and at most 1")
    return value


def yes_or_no(cell: Cell) -> bool | None:
    """True or false; None if empty."""
    found = text_of(cell).lower()
    if not found:
        return None
    if found in _TRUE or found in _FALSE:
        return found in _TRUE
    raise WrongCell("is neither true nor false")


def moment(cell: Cell) -> datetime | None:
    """An RFC 3339 time; without an offset it counts as UTC. None if empty."""
    found = text_of(cell)
    if not found:
        return None
    try:
        value = datetime.fromisoformat(found)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongCell("is not a time such as 2026-11-22T10:00:00Z") from error


def params(cell: Cell) -> str:
    """A judge's parameters as canonical JSON; a plain word becomes ``{"setting": word}``."""
    found = text_of(cell)
    if "\0" in found or len(found) > 10_000:
        raise WrongCell("is no set of parameters")
    try:
        return canonical_params(found)
    except ValueError as error:
        raise WrongCell("begins like JSON but is not") from error


def reason(cell: Cell) -> str | None:
    """Why a judge gave no value; None if it gave one."""
    found = text_of(cell).lower()
    if not found:
        return None
    if found not in list(UnscoredReason):
        raise WrongCell(
            "is no reason we know; map it with values.unscored to one of " + ", ".join(UnscoredReason)
        )
    return found


def annotator(cell: Cell) -> str:
    """Who graded; never a model."""
    found = name(cell)
    if word := names_a_model(found):
        raise WrongCell(f"names a model ({word!r}), not a person: anchors are human grades")
    return found


def annotator_type(cell: Cell) -> str:
    """What kind of person graded, as expert, crowd or user; never a model.

    Made-up people pass here under their plain name: whether they are wanted depends on the service.
    """
    found = name(cell)
    if found == SIMULATED_PEOPLE:
        return found
    if word := names_a_model(found):
        raise WrongCell(f"names a model ({word!r}), not a kind of person: anchors are human grades")
    return found


def source(cell: Cell) -> str | None:
    """Where a grade comes from; never a model."""
    found = optional_name(cell)
    if found and (word := source_is_a_model(found)):
        raise WrongCell(f"says a model gave the grades ({word!r}): anchors are human grades")
    return found
