"""Imports of recorded verdicts: the list, and how far one is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.anchoring.imports import ImportProgress
from app.domain.ids import show_id
from app.domain.projects import Scope
from app.reporting.activity import ImportHead, recent_imports
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.around import Wrong
from app.web.pages.charts import share_bar
from app.web.pages.page import show
from app.web.pages.words import NONE, Mark, count, moment, percent, sentence
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

MARKS = {
    "checking": Mark("checking", "", "every row is read before any is stored"),
    "storing": Mark("storing", "", "rows are being stored; they show all at once at the end"),
    "running": Mark("running", "", "another process works on it"),
    "done": Mark("done", "good", "every row is stored"),
    "failed": Mark("failed", "bad", "nothing was stored"),
}
_PROBLEMS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One import of the list."""

    id: str
    href: str
    rubric: str
    mark: Mark
    verdicts: str
    duplicates: str
    contradictions: str
    started: str
    took: str


@dataclass(frozen=True, slots=True)
class ImportsPage:
    """The list; ``command`` brings a file in."""

    title: str
    lines: tuple[ImportLine, ...]
    command: str
    next_href: str | None


@dataclass(frozen=True, slots=True)
class ImportPage:
    """One import. ``share`` is how much of the work is done, None where that is not known."""

    title: str
    mark: Mark
    open: bool
    share: str | None
    bar: Markup | None
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    error: str | None
    problems: tuple[Wrong, ...]
    counts: tuple[tuple[str, str], ...]
    reload_href: str


@router.get("/ui/imports")
async def show_imports(
    request: Request,
    caller: Reader,
    services: Served,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Newest first."""
    found = await recent_imports(services.database, caller.project.id, cursor)
    base = services.public_url or str(request.base_url).rstrip("/")
    page = ImportsPage(
        title="Imports",
        lines=tuple(_line(one) for one in found.items),
        command=f"curl -s {base}/verdicts -F rubric=helpfulness -F file=@verdicts.csv",
        next_href=url("imports", cursor=found.next_cursor) if found.next_cursor else None,
    )
    return show(request, "imports.html", page)


@router.get("/ui/imports/{import_id}")
async def show_import(request: Request, import_id: str, caller: Reader, services: Served) -> Response:
    """How far one import is, or how it ended."""
    found = await services.imports.progress(caller.project, import_id)
    share = _share(found)
    page = ImportPage(
        title=f"Import {show_id('i', found.id)}",
        mark=MARKS[found.status.value],
        open=found.status.value in ("checking", "storing", "running"),
        share=None if share is None else percent(share),
        bar=None if share is None else share_bar(share),
        facts=_facts(found),
        warnings=found.warnings,
        error=None if found.error is None else sentence(found.error),
        problems=tuple(
            Wrong(
                ", ".join(part for part in (f"row {one.row}" if one.row else "", one.column or "") if part),
                one.problem,
                "" if one.value is None else str(one.value)[:200],
            )
            for one in found.problems[:_PROBLEMS_SHOWN]
        ),
        counts=tuple((problem, count(n)) for problem, n in found.counts.items()),
        reload_href=url("imports", show_id("i", found.id)),
    )
    return show(request, "import.html", page)


def _line(one: ImportHead) -> ImportLine:
    shown = show_id("i", one.id)
    took = NONE if one.finished_at is None else f"{(one.finished_at - one.started_at).total_seconds():.1f} s"
    return ImportLine(
        id=shown,
        href=url("imports", shown),
        rubric=one.rubric,
        mark=MARKS[one.status],
        verdicts=count(one.verdicts),
        duplicates=count(one.duplicates),
        contradictions=count(one.contradictions),
        started=moment(one.started_at),
        took=took,
    )


def _share(found: ImportProgress) -> float | None:
    if found.status.value == "done":
        return 1.0
    if found.status.value == "storing" and found.rows_total and found.rows_stored is not None:
        return 0.5 + 0.5 * found.rows_stored / found.rows_total
    if found.status.value == "checking" and found.bytes_total and found.bytes_read is not None:
        return 0.5 * found.bytes_read / found.bytes_total
    return None


def _facts(found: ImportProgress) -> tuple[tuple[str, str], ...]:
    rows = (
        ("Rows read", found.rows_read), ("Rows in the file", found.rows_total),
        ("Rows stored", found.rows_stored),
        ("New verdicts", found.verdicts), ("There already", found.duplicates),
        ("Said otherwise before", found.contradictions), ("Unscored", found.unscored), ("Items", found.items),
        ("Judges", found.judges),
    )  # fmt: skip
    facts = [(name, count(value)) for name, value in rows if value is not None]
    return (*facts, ("File hash", found.sha256[:16]))
