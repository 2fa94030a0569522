"""POST and GET /audits, and what they put aside: /quarantine."""

import json
import os
from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from pydantic import Field

from app.access.keys import Caller
from app.domain.audits import Audit, AuditKind, Quarantined
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput, Problem
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["audits"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Auditor = Annotated[Caller, needs(Scope.ANCHORS)]
AuditId = Annotated[str, Path(max_length=50, description="Id of the audit.", examples=["au_0c5m8qk2t7x1v"])]


class EstimateOut(Answered):
    """A number with its interval."""

    name: str = Field(description="What it is.", examples=["share_that_overlaps"])
    estimate: float | None = Field(
        description="Its value; null where the data do not tell it.", examples=[0.04]
    )
    interval: tuple[float, float] | None = Field(description="95% interval.", examples=[[0.02, 0.08]])
    n: int = Field(description="How many it rests on.", examples=[200])
    of: str = Field(description="What `n` counts.", examples=["anchors"])
    unit: str = Field(description="Its unit.", examples=["share"])
    note: str = Field(description="What it means, or why there is none.", examples=["Share of anchors."])


class AuditTableOut(Answered):
    """Rows behind the numbers."""

    name: str = Field(description="What the table is called.", examples=["nearest"])
    title: str = Field(description="What it shows, for people.", examples=["The nearest text of each"])
    columns: list[str] = Field(description="Names of its columns.", examples=[["item", "nearest"]])
    rows: list[list[str | float | int | None]] = Field(
        description="One list per row, in the order of the columns.", examples=[[["q-17", "row 3, text"]]]
    )
    total: int = Field(description="All rows there are, where `rows` was cut.", examples=[1])


class TextPairOut(Answered):
    """An anchor's text beside one that is like it."""

    item: str = Field(description="The anchor.", examples=["q-17"])
    field: str = Field(description="Which of its texts.", examples=["prompt"])
    document: str = Field(description="Where the other text stands.", examples=["row 3, text"])
    measure: Literal["exact", "near", "alike"] = Field(
        description="`exact`: the same words; `near`: share of common three-word runs; `alike`: cosine.",
        examples=["near"],
    )
    similarity: float = Field(description="How like they are, 0 to 1.", examples=[0.83])
    anchor_text: str = Field(description="The anchor's text, cut.", examples=["How do I undo a commit?"])
    other_text: str = Field(description="The other text, cut.", examples=["how do i undo the commit"])


class AuditOut(Answered):
    """An audit. Once it has ended it never changes."""

    audit_id: str = Field(description="Its id.", examples=["au_0c5m8qk2t7x1v"])
    kind: Literal["provenance", "overlap", "disagreement", "invariance"] = Field(
        description="Which of the four questions.", examples=["overlap"]
    )
    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str | None = Field(
        description="The criterion; null: all, or it does not matter.", examples=[None]
    )
    anchor_set: str | None = Field(description="The anchor set it is about.", examples=["first"])
    anchor_set_version: int | None = Field(description="The set's version.", examples=[2])
    status: Literal["running", "done", "refused", "failed"] = Field(
        description="`refused`: the data cannot answer, `summary` says why. `failed`: `error` says how.",
        examples=["done"],
    )
    verdict: Literal["passed", "failed", "open"] | None = Field(
        description="What it says once it is done; `open` where the interval holds both answers.",
        examples=["passed"],
    )
    summary: str | None = Field(
        description="The finding in a sentence.", examples=["2 of 200 anchors stand in the corpus."]
    )
    estimates: list[EstimateOut] = Field(description="The numbers.", examples=[[]])
    tables: list[AuditTableOut] = Field(description="The rows behind them.", examples=[[]])
    pairs: list[TextPairOut] = Field(description="Overlap: texts side by side, nearest first.", examples=[[]])
    warnings: list[str] = Field(description="What to know of it.", examples=[[]])
    parameters: dict[str, Any] = Field(
        description="What was asked, defaults filled in.", examples=[{"near": 0.5}]
    )
    error: str | None = Field(description="How it broke; null otherwise.", examples=[None])
    created_at: datetime = Field(description="When it was asked for.", examples=["2026-11-22T10:00:00Z"])
    finished_at: datetime | None = Field(description="When it ended.", examples=["2026-11-22T10:00:09Z"])

    @staticmethod
    def of(audit: Audit, *, whole: bool = True) -> "AuditOut":
        """The audit as it is shown; ``whole`` with its tables and pairs."""
        found = audit.findings
        return AuditOut(
            audit_id=show_id("au", audit.id),
            kind=audit.kind.value,
            rubric=audit.rubric,
            criterion=audit.criterion,
            anchor_set=audit.anchor_set,
            anchor_set_version=audit.version,
            status=audit.status.value,
            verdict=found.verdict.value if found and audit.status.value == "done" else None,
            summary=found.summary if found else None,
            estimates=[
                EstimateOut(
                    name=one.name, estimate=one.estimate, interval=one.interval, n=one.n, of=one.of,
                    unit=one.unit, note=one.note,
                )
                for one in (found.estimates if found else ())
            ],
            tables=[
                AuditTableOut(
                    name=one.name, title=one.title, columns=list(one.columns),
                    rows=[list(row) for row in one.rows], total=one.total,
                )
                for one in (found.tables if found and whole else ())
            ],
            pairs=[
                TextPairOut(
                    item=one.item, field=one.field, document=one.document,
                    measure=one.measure,
                    similarity=one.similarity, anchor_text=one.anchor_text, other_text=one.other_text,
                )
                for one in (found.pairs if found and whole else ())
            ],
            warnings=list(found.warnings) if found else [],
            parameters=dict(audit.parameters),
            error=audit.error,
            created_at=audit.created_at,
            finished_at=audit.finished_at,
        )  # fmt: skip


class QuarantinedOut(Answered):
    """An anchor that an audit put aside."""

    quarantine_id: str = Field(description="Its id.", examples=["q_0c5m8qk2t7x1v"])
    anchor_set: str = Field(description="The set.", examples=["first"])
    item: str = Field(description="The anchor.", examples=["q-17"])
    audit_id: str = Field(description="The audit that put it aside.", examples=["au_0c5m8qk2t7x1v"])
    reason: str = Field(description="Why.", examples=["overlap: its prompt nearly stands in row 3 (0.83)"])
    decision: Literal["keep", "retire"] | None = Field(
        description="What a person decided; null: nobody has, and its grades count for nothing.",
        examples=[None],
    )
    note: str | None = Field(description="What that person said.", examples=[None])
    created_at: datetime = Field(description="When it was put aside.", examples=["2026-11-22T10:00:00Z"])
    decided_at: datetime | None = Field(description="When it was decided.", examples=[None])

    @staticmethod
    def of(entry: Quarantined) -> "QuarantinedOut":
        """The entry as it is shown."""
        return QuarantinedOut(
            quarantine_id=show_id("q", entry.id),
            anchor_set=entry.anchor_set,
            item=entry.item,
            audit_id=show_id("au", entry.audit_id),
            reason=entry.reason,
            decision=entry.decision,
            note=entry.note,
            created_at=entry.created_at,
            decided_at=entry.decided_at,
        )


class DecisionIn(Body):
    """What a person decides of an anchor that was put aside."""

    decision: Literal["keep", "retire"] = Field(
        description="`keep`: it counts again. `retire`: it leaves its set, which gets a new version.",
        examples=["retire"],
    )
    note: str | None = Field(
        None, max_length=2_000, description="Why.", examples=["it is in our training data"]
    )


@router.post(
    "/audits", status_code=202, summary="Ask for an audit", responses=documented(400, 404, 413, 415, 422)
)
async def post_audit(
    caller: Auditor,
    services: Served,
    response: Response,
    kind: Annotated[AuditKind, Form(description="Which of the four questions.", examples=["provenance"])],
    anchor_set: Annotated[
        Name | None, Form(description="The anchor set it is about.", examples=["first"])
    ] = None,
    rubric: Annotated[
        Name | None, Form(description="The rubric, where it is about no set.", examples=["helpfulness"])
    ] = None,
    criterion: Annotated[
        Name | None, Form(description="Only this criterion.", examples=["helpfulness"])
    ] = None,
    parameters: Annotated[
        str | None,
        Form(
            max_length=20_000,
            description="JSON with what may be asked of the kind. Provenance: `refuse` (`none`, `wrong`, "
            "`all`), `require` (of `when`, `interface`, `blind`). Overlap: `near`, `alike` (thresholds), "
            "`model`, `columns`, `prompts`, `corpus`, `quarantine`. Invariance: `recorded`, `items`, "
            "`perturbations`, `judges`, `max_cost_usd`, `seed`. Disagreement: `tolerance`, "
            "`regrade` (a queue of `POST /anchor-sets/{name}/regrades`), `cold` (a source in the set). "
            "docs/audits.md explains each.",
            examples=['{"refuse": "wrong"}'],
        ),
    ] = None,
    file: Annotated[
        UploadFile | None,
        File(
            description="Overlap: the corpus, as CSV, JSONL, gzip of either, or Parquet.",
            examples=["text\nHow do I undo a commit?\n"],
        ),
    ] = None,
) -> AuditOut:
    """Runs behind; `Location` is where it will say what it found.

    *Provenance*: did a person, known, blind, give every grade? *Overlap*: do anchors stand in training data
    or prompts, word for word, nearly, or in other words? What fails is put aside (`GET /quarantine`): its
    grades count for nothing until a person decides. *Disagreement*: how often do people who grade the
    same answer really differ? *Invariance*: do judges say the same when only the form changes?
    """
    audit = await services.audits.begin(
        caller.project,
        kind,
        rubric=rubric,
        criterion=criterion,
        anchor_set=anchor_set,
        parameters=read_parameters(parameters),
        file=None if file is None else outliving(file),
    )
    shown = AuditOut.of(audit)
    response.headers["Location"] = f"/audits/{shown.audit_id}"
    return shown


@router.get("/audits", summary="Audits, newest first", responses=documented(422))
async def list_audits(
    caller: Reader,
    services: Served,
    paging: Paging,
    kind: Annotated[AuditKind | None, Query(description="Only of this kind.", examples=["overlap"])] = None,
    anchor_set: Annotated[
        str | None, Query(max_length=200, description="Only of this set.", examples=["first"])
    ] = None,
) -> Page[AuditOut]:
    """Without their tables and pairs."""
    page = await services.audits.list(
        caller.project, kind=kind, anchor_set=anchor_set, limit=paging.limit, cursor=paging.cursor
    )
    return Page(items=[AuditOut.of(one, whole=False) for one in page.items], next_cursor=page.next_cursor)


@router.get("/audits/{audit_id}", summary="What an audit found", responses=documented(404, 422))
async def get_audit(audit_id: AuditId, caller: Reader, services: Served) -> AuditOut:
    """As far as it is."""
    return AuditOut.of(await services.audits.get(caller.project, read_id("au", audit_id)))


@router.get("/quarantine", summary="Anchors that audits put aside", responses=documented(422))
async def list_quarantine(
    caller: Reader,
    services: Served,
    paging: Paging,
    anchor_set: Annotated[
        str | None, Query(max_length=200, description="Only of this set.", examples=["first"])
    ] = None,
    pending: Annotated[
        bool | None, Query(description="Only what waits for a decision (or does not).", examples=[True])
    ] = None,
) -> Page[QuarantinedOut]:
    """Their grades count for nothing while nobody has decided."""
    page = await services.audits.quarantined(
        caller.project, anchor_set=anchor_set, pending=pending, limit=paging.limit, cursor=paging.cursor
    )
    return Page(items=[QuarantinedOut.of(one) for one in page.items], next_cursor=page.next_cursor)


@router.post(
    "/quarantine/{quarantine_id}",
    summary="Decide what becomes of an anchor",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def decide(
    quarantine_id: Annotated[
        str, Path(max_length=50, description="Id of the entry.", examples=["q_0c5m8qk2t7x1v"])
    ],
    body: DecisionIn,
    caller: Auditor,
    services: Served,
) -> QuarantinedOut:
    """Once; what rested on the set is calibrated anew."""
    entry = await services.audits.decide(
        caller.project, read_id("q", quarantine_id), body.decision, body.note
    )
    return QuarantinedOut.of(entry)


def read_parameters(text: str | None) -> dict[str, Any]:
    """The form's JSON as an object."""
    try:
        raw = json.loads(text) if text and text.strip() else {}
    except (ValueError, RecursionError) as error:
        problem = Problem(f"is not JSON: {error}", path="parameters")
        raise BadInput("The parameters are not JSON.", [problem]) from None
    if not isinstance(raw, dict):
        problem = Problem("must be a JSON object", path="parameters", value=raw)
        raise BadInput("The parameters do not fit.", [problem])
    return raw


def outliving(file: UploadFile) -> BinaryIO:
    """The same bytes under a handle of their own: the request closes its file when it is answered."""
    return os.fdopen(os.dup(file.file.fileno()), "rb")
