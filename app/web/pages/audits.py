"""Audits: the list with its forms, one audit, and the decisions it asks for."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.domain.audits import Audit, AuditKind
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.web.api.audits import outliving
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.audit_shown import AsideLine, aside_line, audit_page, mark_of
from app.web.pages.chosen import Option
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import Mark, counted, moment, sentence
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Auditor = Annotated[Caller, needs(Scope.ANCHORS)]
_PER_PAGE, _ROWS = 50, 50


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One audit in the list."""

    kind: str
    href: str
    about: str
    about_href: str | None
    mark: Mark
    summary: str
    created: str


@dataclass(frozen=True, slots=True)
class AuditsPage:
    """``wrong`` says why the last form was not taken; ``waiting`` counts anchors that wait for a decision."""

    title: str
    lines: tuple[AuditLine, ...]
    next_href: str | None
    sets: tuple[Option, ...]
    may_ask: bool
    waiting: str | None
    quarantine_href: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Everything that waits for a decision."""

    title: str
    aside: tuple[AsideLine, ...]
    back: str
    next_href: str | None


@router.get("/ui/audits")
async def show_audits(
    request: Request,
    caller: Reader,
    services: Served,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    anchor_set: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Newest first."""
    return await _list_page(request, caller, services, cursor, anchor_set or None)


@router.post("/ui/audits")
async def ask(
    request: Request,
    caller: Auditor,
    services: Served,
    kind: Annotated[AuditKind, Form()],
    anchor_set: Annotated[str, Form(max_length=200)] = "",
    prompts: Annotated[bool, Form()] = False,
    recorded: Annotated[bool, Form()] = False,
    budget: Annotated[float, Form(gt=0, le=10_000)] = 1.0,
    regrade: Annotated[str, Form(max_length=200)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Begin an audit and go to its page."""
    parameters: dict[str, object] = {}
    corpus = file if file is not None and file.size else None
    if kind is AuditKind.OVERLAP:
        parameters = {"prompts": prompts, "corpus": (corpus.filename or "")[:200] if corpus else ""}
    if kind is AuditKind.INVARIANCE:
        parameters = {"recorded": recorded, "max_cost_usd": budget}
    if kind is AuditKind.DISAGREEMENT and regrade:
        parameters = {"regrade": regrade}
    try:
        audit = await services.audits.begin(
            caller.project,
            kind,
            anchor_set=anchor_set or None,
            parameters=parameters,
            file=outliving(corpus) if corpus else None,
        )
    except BadInput as bad:
        wrong = (sentence(bad.summary), *(sentence(one.problem) for one in bad.problems[:10]))
        return await _list_page(request, caller, services, None, anchor_set or None, wrong)
    return RedirectResponse(url("audits", show_id("au", audit.id)), 303, HEADERS)


@router.get("/ui/audits/{audit_id}")
async def show_audit(request: Request, audit_id: str, caller: Reader, services: Served) -> Response:
    """One audit."""
    key = read_id("au", audit_id)
    audit = await services.audits.get(caller.project, key)
    aside = await services.audits.quarantined(caller.project, audit_id=key, limit=_ROWS)
    lines = tuple(aside_line(one, may(request, Scope.ANCHORS)) for one in aside.items)
    return show(request, "audit.html", audit_page(audit, lines, more=aside.next_cursor is not None))


@router.get("/ui/quarantine")
async def show_quarantine(
    request: Request,
    caller: Reader,
    services: Served,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """What waits for a decision."""
    found = await services.audits.quarantined(caller.project, pending=True, limit=_PER_PAGE, cursor=cursor)
    page = QuarantinePage(
        title="Anchors put aside",
        aside=tuple(aside_line(one, may(request, Scope.ANCHORS)) for one in found.items),
        back=url("quarantine"),
        next_href=url("quarantine", cursor=found.next_cursor) if found.next_cursor else None,
    )
    return show(request, "quarantine.html", page)


@router.post("/ui/quarantine/{quarantine_id}")
async def decide(
    quarantine_id: str,
    caller: Auditor,
    services: Served,
    decision: Annotated[str, Form(pattern="^(keep|retire)$")],
    back: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Store a decision and go back to where it was made."""
    await services.audits.decide(caller.project, read_id("q", quarantine_id), decision, None)
    where = url("audits", back.rpartition("/")[2]) if back.startswith("/ui/audits/") else url("quarantine")
    return RedirectResponse(where + "#aside", 303, HEADERS)


async def _list_page(
    request: Request,
    caller: Caller,
    services: Services,
    cursor: str | None,
    anchor_set: str | None,
    wrong: tuple[str, ...] = (),
) -> Response:
    found = await services.audits.list(
        caller.project, kind=None, anchor_set=None, limit=_PER_PAGE, cursor=cursor
    )
    sets = await services.anchors.list(caller.project, rubric=None, limit=200, cursor=None)
    waiting = await services.audits.quarantined(caller.project, pending=True, limit=200)
    many = counted(len(waiting.items), "anchor waits", "anchors wait")
    page = AuditsPage(
        title="Audits",
        lines=tuple(map(_line, found.items)),
        next_href=url("audits", cursor=found.next_cursor) if found.next_cursor else None,
        sets=tuple(
            Option(one.anchor_set, one.anchor_set, one.anchor_set == anchor_set) for one in sets.items
        ),
        may_ask=may(request, Scope.ANCHORS),
        waiting=f"{many} for your decision." if waiting.items else None,
        quarantine_href=url("quarantine"),
        wrong=wrong,
    )
    return show(request, "audits.html", page, status=422 if wrong else 200)


def _line(audit: Audit) -> AuditLine:
    return AuditLine(
        kind=audit.kind.value.capitalize(),
        href=url("audits", show_id("au", audit.id)),
        about=audit.anchor_set or audit.rubric,
        about_href=url("anchor-sets", audit.anchor_set) if audit.anchor_set else None,
        mark=mark_of(audit),
        summary=(audit.findings.summary if audit.findings else audit.error) or "",
        created=moment(audit.created_at),
    )
