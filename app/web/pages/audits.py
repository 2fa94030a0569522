"""Audits: the list with its forms, what one found, and the decisions it asks for."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.domain.audits import Audit, AuditKind, AuditStatus, AuditTable, AuditVerdict, Quarantined, TextPair
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.web.api.audits import outliving
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import Option
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import NONE, Mark, count, counted, interval, moment, number, percent, sentence
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Auditor = Annotated[Caller, needs(Scope.ANCHORS)]
_PER_PAGE, _ROWS, _PAIRS = 50, 50, 25

_MARKS = {
    AuditVerdict.PASSED: Mark("passed", "good", "nothing speaks against it"),
    AuditVerdict.FAILED: Mark("failed", "bad", "it was found wanting"),
    AuditVerdict.OPEN: Mark("open", "unsure", "the interval holds both answers"),
}
_STATES = {
    AuditStatus.RUNNING: Mark("running", "", "is at work now; reload the page"),
    AuditStatus.REFUSED: Mark("refused", "unsure", "the data cannot answer"),
    AuditStatus.FAILED: Mark("broke", "bad", "it could not be done"),
}
QUESTIONS = {
    AuditKind.PROVENANCE: "Did a person, known and blind, give every grade?",
    AuditKind.OVERLAP: "Do anchors stand in training data or prompts?",
    AuditKind.DISAGREEMENT: "Would another person, cold, grade alike?",
    AuditKind.INVARIANCE: "Do judges say the same when only the form changes?",
}


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
class NumberLine:
    """One estimate."""

    name: str
    value: str
    interval: str
    n: str
    note: str


@dataclass(frozen=True, slots=True)
class TableShown:
    """Rows behind the numbers, as text; ``numeric`` are columns set flush right."""

    id: str
    title: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    more: str | None


@dataclass(frozen=True, slots=True)
class PairShown:
    """Two texts side by side."""

    heading: str
    measure: str
    anchor: str
    other: str


@dataclass(frozen=True, slots=True)
class AsideLine:
    """One anchor that was put aside; ``address`` takes the decision, None once there is one."""

    item: str
    anchor_set: str
    set_href: str
    reason: str
    state: str
    address: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What one audit found; ``open`` while it is at work."""

    title: str
    question: str
    mark: Mark
    summary: str
    open: bool
    facts: tuple[tuple[str, str], ...]
    numbers: tuple[NumberLine, ...]
    tables: tuple[TableShown, ...]
    pairs: tuple[PairShown, ...]
    more_pairs: str | None
    warnings: tuple[str, ...]
    aside: tuple[AsideLine, ...]
    more_aside: str | None
    back: str
    json_href: str


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
    lines = tuple(_aside(one, may(request, Scope.ANCHORS)) for one in aside.items)
    return show(request, "audit.html", _page(audit, lines, more=aside.next_cursor is not None))


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
        aside=tuple(_aside(one, may(request, Scope.ANCHORS)) for one in found.items),
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
        mark=_mark(audit),
        summary=(audit.findings.summary if audit.findings else audit.error) or "",
        created=moment(audit.created_at),
    )


def _mark(audit: Audit) -> Mark:
    done = audit.status is AuditStatus.DONE and audit.findings is not None
    return _MARKS[audit.findings.verdict] if done and audit.findings else _STATES[audit.status]


def _page(audit: Audit, aside: tuple[AsideLine, ...], *, more: bool) -> AuditPage:
    found = audit.findings
    name = show_id("au", audit.id)
    facts = [("Rubric", audit.rubric), ("Criterion", audit.criterion or "all")]
    if audit.anchor_set:
        facts.append(("Anchor set", f"{audit.anchor_set}, version {audit.version}"))
    facts += [("Asked for", moment(audit.created_at)), ("Ended", moment(audit.finished_at))]
    facts += [
        (key.replace("_", " ").capitalize(), _asked(value))
        for key, value in audit.parameters.items()
        if value not in (None, "")
    ]
    return AuditPage(
        title=f"{audit.kind.value.capitalize()} audit",
        question=QUESTIONS[audit.kind],
        mark=_mark(audit),
        summary=(found.summary if found else audit.error) or "It is at work.",
        open=audit.status is AuditStatus.RUNNING,
        facts=tuple(facts),
        numbers=tuple(
            NumberLine(
                _name(one.name),
                _number(one.estimate, one.unit),
                _interval(one.interval, one.unit),
                f"{count(one.n)} {one.of}",
                one.note,
            )
            for one in (found.estimates if found else ())
        ),
        tables=tuple(map(_table, found.tables)) if found else (),
        pairs=tuple(map(_pair, found.pairs[:_PAIRS])) if found else (),
        more_pairs=f"The first {_PAIRS} of {count(len(found.pairs))} are shown; the JSON has them all."
        if found and len(found.pairs) > _PAIRS
        else None,
        warnings=tuple(map(sentence, found.warnings)) if found else (),
        aside=aside,
        more_aside=url("quarantine") if more else None,
        back=url("audits", name),
        json_href=f"/audits/{name}",
    )


def _name(name: str) -> str:
    """Of an estimate, as people say it."""
    return "Krippendorff's alpha" if name == "krippendorff_alpha" else name.replace("_", " ")


def _asked(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or NONE
    return NONE if value in (None, "") else str(value)


def _number(value: float | None, unit: str) -> str:
    return percent(value, 1) if unit == "share" else number(value, 3)


def _interval(ends: tuple[float, float] | None, unit: str) -> str:
    if unit != "share" or ends is None:
        return interval(ends, 3)
    return f"{percent(ends[0], 1)} to {percent(ends[1], 1)}"


def _table(table: AuditTable) -> TableShown:
    rows = table.rows[:_ROWS]
    numeric = [not any(isinstance(row[k], str) for row in rows) for k in range(len(table.columns))]
    return TableShown(
        id=table.name,
        title=table.title,
        columns=tuple(zip(table.columns, numeric, strict=True)),
        rows=tuple(
            tuple((_cell(value), flush) for value, flush in zip(row, numeric, strict=True)) for row in rows
        ),
        more=f"{count(table.total - len(rows))} more; the JSON has up to 1,000 rows."
        if table.total > len(rows)
        else None,
    )


def _cell(value: str | float | int | None) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return number(value, 3)
    return count(value) if isinstance(value, int) else value


def _pair(pair: TextPair) -> PairShown:
    how = {"exact": "word for word", "near": "nearly the same", "alike": "says the same"}[pair.measure]
    return PairShown(
        heading=f"{pair.item}, {pair.field} · {pair.document}",
        measure=f"{how} ({pair.similarity:.2f})",
        anchor=pair.anchor_text,
        other=pair.other_text,
    )


def _aside(entry: Quarantined, may_decide: bool) -> AsideLine:
    state = "waits" if entry.decision is None else {"keep": "kept", "retire": "retired"}[entry.decision]
    waits = entry.decision is None and may_decide
    return AsideLine(
        item=entry.item,
        anchor_set=entry.anchor_set,
        set_href=url("anchor-sets", entry.anchor_set),
        reason=entry.reason,
        state=state,
        address=url("quarantine", show_id("q", entry.id)) if waits else None,
    )
