"""Pages of a list: a cursor is the sort key of the last row shown."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.problems import BadInput, Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and, if there are more, the cursor that continues after them."""

    items: tuple[T, ...]
    next_cursor: str | None = None


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], str | int]) -> Page[T]:
    """A page of at most ``limit`` from ``rows``, which hold one more if there are more."""
    shown = tuple(rows[:limit])
    more = len(rows) > limit and shown
    return Page(shown, show_cursor(key(shown[-1])) if more else None)


def show_cursor(key: str | int) -> str:
    """The public form of a sort key."""
    return urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str | None:
    """The inverse of `show_cursor`; None for the first page.

    Raises
    ------
    BadInput
        If ``cursor`` was not made by `show_cursor`.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise _not_a_cursor(cursor) from error


def read_number_cursor(cursor: str | None) -> int | None:
    """`read_cursor` for lists that are ordered by an id."""
    key = read_cursor(cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) < 20 and int(key) < 1 << 63):
        raise _not_a_cursor(str(cursor))
    return int(key)


def _not_a_cursor(cursor: str) -> BadInput:
    problem = Problem("this is no cursor of an earlier answer", path="cursor", value=cursor)
    return BadInput("the cursor is not one that this service gave out", [problem])
