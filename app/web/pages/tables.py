"""The tables of a page as files: the page's own address with ``table`` and ``as`` keeps its filters."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from app.domain.problems import NotFound
from app.web.pages.page import HEADERS

Cell = str | int | float | bool | None
TableName = Annotated[str | None, Query(max_length=100)]
FileKind = Annotated[Literal["csv", "json"], Query(alias="as")]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table as it is computed, before it is rounded for the eye; ``name`` stands in addresses."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Files:
    """Where one table can be had."""

    csv: str
    json: str


def files(request: Request, tables: Iterable[DataTable]) -> dict[str, Files]:
    """Links to each table by its name, with whatever the page's address asks for."""
    asked = [(k, v) for k, v in request.query_params.multi_items() if k not in ("table", "as")]

    def link(name: str, kind: str) -> str:
        return f"{request.url.path}?{urlencode([*asked, ('table', name), ('as', kind)])}"

    return {one.name: Files(link(one.name, "csv"), link(one.name, "json")) for one in tables}


def as_file(tables: Iterable[DataTable], name: str, kind: str) -> Response:
    """One of the ``tables`` as a file.

    Raises
    ------
    NotFound
        If none of them has that name.
    """
    table = next((one for one in tables if one.name == name), None)
    if table is None:
        raise NotFound("table of this page called", name)
    body = _csv(table) if kind == "csv" else _json(table)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(body.encode("utf-8", "replace"), 200, headers, _TYPES[kind])


def _csv(table: DataTable) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def _cell(value: Cell) -> Cell:
    """Numbers as they are; a text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(table: DataTable) -> str:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps(rows, ensure_ascii=False, indent=1)
