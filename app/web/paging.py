"""Lists in pages: ``?limit=&cursor=`` in, ``{items, next_cursor}`` out."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from app.domain.problems import BadInput, Problem

T = TypeVar("T")
MOST = 200


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="The entries of this page, in a stable order.", examples=[[]])
    next_cursor: str | None = Field(
        description="Send it as `cursor` for the next page; null on the last.", examples=["aGVscGZ1bG5lc3M"]
    )


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How long a page may be, and the cursor where it begins (None: at the start)."""

    limit: int
    cursor: str | None

    def cut(self, entries: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], str | None]:
        """The page and the next cursor, where all entries are at hand; ``key`` orders and names them."""
        after = None if self.cursor is None else _read(self.cursor)
        left = [entry for entry in sorted(entries, key=key) if after is None or key(entry) > after]
        page = left[: self.limit]
        return page, _show(key(page[-1])) if len(left) > self.limit else None


def _show(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        problem = Problem("this is no cursor of an earlier answer", path="query.cursor", value=cursor)
        raise BadInput("the cursor is not one that this service gave out", [problem]) from None


async def _page_request(
    limit: Annotated[
        int, Query(ge=1, le=MOST, description="The most entries to answer.", examples=[50])
    ] = 50,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", examples=["aGVscGZ1bG5lc3M"])
    ] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]
