"""Bulk grading: /batches, the day's budget, the workers."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from app.access.keys import Caller
from app.batches.batches import Batches
from app.batches.checking import Line, Lines
from app.batches.known import KnownItems
from app.batches.saving import saved_by
from app.batches.stopping import rule_of
from app.domain.batches import (
    AtProviders,
    Batch,
    BatchMode,
    BatchOptions,
    BatchStatus,
    Estimate,
    Reuse,
    Spending,
)
from app.domain.ids import read_id, show_id
from app.domain.judging import PanelRequest, Stages
from app.domain.problems import BadInput, Problem
from app.domain.projects import Scope
from app.domain.stopping import ScoresCompared, StopRule
from app.web.api.grade import GradeIn, PanelIn
from app.web.callers import needs
from app.web.errors import documented, problem_of
from app.web.fields import Answered, Body, JsonResponse, Name, read_json
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served, Services
from app.web.shown_grade import shown

router = APIRouter(tags=["batches"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ, Scope.GRADE)]
Grader = Annotated[Caller, needs(Scope.GRADE)]
Admin = Annotated[Caller, needs(Scope.ADMIN)]
BatchId = Annotated[str, Path(description="Id of the batch.", examples=["b_0c5mtzk3q8v1a"])]
Status = Literal["checking", "running", "paused", "out_of_budget", "done", "decided", "cancelled"]

_JSONL = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines", "text/plain")
_BLOCK = 200  # lines that are read and checked in one go
_LONGEST_LINE = 16_000_000  # bytes
_NOT_IN_BATCHES = ("wait", "callback_url")


class JudgeShareOut(Answered):
    """How a judge is asked, and what that will probably cost, in US dollars."""

    judge: str = Field(description="Name of the judge.", examples=["gpt-x"])
    way: Literal["batch", "ordinary"] = Field(
        description="By its provider's batches, or one by one.", examples=["batch"]
    )
    price_factor: float = Field(
        description="The price relative to ordinary calls, before what is asked one by one.", examples=[0.5]
    )
    seats: float = Field(description="Seats expected.", examples=[5000.0])
    expected_usd: float = Field(description="The most likely sum.", examples=[4.1])
    low_usd: float = Field(description="Low end of the range.", examples=[2.9])
    high_usd: float = Field(description="High end of the range; no bound.", examples=[8.4])
    at_worst_usd: float = Field(
        description="By batches: about what has to be set aside to send all its requests at once.",
        examples=[31.0],
    )


class EstimateOut(Answered):
    """What a batch will probably cost, in US dollars."""

    seats: int = Field(description="Judge calls, if none fails.", examples=[30000])
    expected_usd: float = Field(description="The most likely sum.", examples=[41.5])
    low_usd: float = Field(description="Low end of the range.", examples=[29.1])
    high_usd: float = Field(description="High end of the range; no bound.", examples=[74.7])
    judges: list[JudgeShareOut] = Field(description="Each judge's part.", examples=[[]])


class ProviderBatchOut(Answered):
    """A batch at a judge's provider."""

    judge: str = Field(description="Name of the judge.", examples=["gpt-x"])
    intent: str = Field(
        description="Ours for it: the custom id of each of its requests begins with it.", examples=["71830"]
    )
    provider_id: str | None = Field(
        description="The provider's id; null until it is known.", examples=["batch_abc123"]
    )
    state: Literal["intended", "sent", "over"] = Field(
        description="Intended: on record, and not known to be at the provider yet.", examples=["sent"]
    )
    standing: (
        Literal["working", "cancelling", "completed", "expired", "cancelled", "failed", "full"] | None
    ) = Field(
        description="What the provider said last. Full: it had too much waiting, the seats wait here.",
        examples=["working"],
    )
    detail: str | None = Field(description="What went wrong.", examples=[None])
    requests: int = Field(description="Requests in it.", examples=[50000])
    done: int = Field(description="Requests done, as the provider counts them meanwhile.", examples=[31000])
    failed: int = Field(description="Requests failed, as the provider counts them.", examples=[2])
    answered: int = Field(description="Replies on record.", examples=[0])
    returned: int = Field(
        description="Requests that it did not answer: sent again or asked one by one.", examples=[0]
    )
    held_usd: float = Field(description="Set aside for it, in US dollars.", examples=[12.5])
    spent_usd: float = Field(description="What its replies cost, in US dollars.", examples=[0.0])
    created_at: datetime = Field(description="When it was put on record.", examples=["2026-11-22T10:00:00Z"])
    sent_at: datetime | None = Field(
        description="When the provider had it.", examples=["2026-11-22T10:00:09Z"]
    )
    expires_at: datetime | None = Field(
        description="Until when the provider answers.", examples=["2026-11-23T10:00:09Z"]
    )
    ended_at: datetime | None = Field(description="When it was over.", examples=[None])


class ProvidersOut(Answered):
    """What waits at judges' providers."""

    queued: int = Field(description="Seats in no batch at a provider yet.", examples=[0])
    sent: int = Field(description="Seats in one that is not over.", examples=[50000])
    due_at: datetime | None = Field(
        description="When the last of them has to be over.", examples=["2026-11-23T10:00:09Z"]
    )
    batches: list[ProviderBatchOut] = Field(description="All of them, oldest first.", examples=[[]])


class SpendingOut(Answered):
    """A budget and what became of it, in US dollars."""

    limit_usd: float | None = Field(description="What may be spent; null: no limit.", examples=[74.7])
    spent_usd: float = Field(description="Spent, retries included.", examples=[12.25])
    held_usd: float = Field(description="Set aside for calls under way.", examples=[0.31])
    suspect_usd: float = Field(
        description="What calls of workers that died may have cost at most.", examples=[0.0]
    )
    left_usd: float | None = Field(description="What is left; null: no limit.", examples=[62.14])


class CountsOut(Answered):
    """How far a batch is."""

    complete: int = Field(description="Items graded by a whole panel.", examples=[9000])
    partial: int = Field(description="Items graded by some of their seats.", examples=[12])
    failed: int = Field(description="Items without any verdict.", examples=[3])
    left: int = Field(description="Items still to be graded.", examples=[985])
    calls: int = Field(description="Judge calls recorded, retries included.", examples=[27090])
    reused: int = Field(description="Seats that took an earlier verdict.", examples=[0])


class SavedOut(Answered):
    """Judge calls that were not made."""

    calls: int = Field(description="In all.", examples=[4210])
    usd: float | None = Field(
        description="What they would have cost, at what calls cost so far; null: no call was made yet.",
        examples=[1.9],
    )
    second_stage: int = Field(
        description="Seats of second stages that were not asked (`panel.stages`).", examples=[4210]
    )
    decided: int = Field(
        description="Of items that were left when the batch was decided, at the calls of an item so far.",
        examples=[0],
    )


class StopWhenIn(Body):
    """The comparison that ends a batch once it is decided."""

    baseline: Name = Field(description="The system that is compared with.", examples=["bot-v6"])
    candidate: Name = Field(description="The system that is compared.", examples=["bot-v7"])
    criterion: Name | None = Field(
        None, description="May be left out where the rubric has one.", examples=["helpfulness"]
    )
    level: float = Field(
        0.95,
        ge=0.5,
        le=0.9999,
        description="Level of the interval, however often it is looked at: a wrong claim has a chance of at "
        "most 1 - level.",
        examples=[0.95],
    )
    margin: float = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Difference that does not matter, in points of the criterion; pairs: of win rates.",
        examples=[0.1],
    )
    scores: Literal["raw", "calibrated"] = Field(
        "raw",
        description="What is compared: mean verdicts of panels, or calibrated scores by the calibration that "
        "is the newest when the batch is sent.",
        examples=["raw"],
    )
    population: Literal["these_units", "stream"] = Field(
        "these_units",
        description="Whether the claim is about the batch's own prompts or about the stream they come from.",
        examples=["these_units"],
    )

    def rule(self) -> StopRule:
        """The same in the words of the domain."""
        return StopRule(**{**self.model_dump(), "scores": ScoresCompared(self.scores)})


class ComparisonOut(StopWhenIn):
    """A comparison that ends a batch, and how it stands."""

    calibration_id: str | None = Field(
        description="The calibration that scores are made with; null: raw.", examples=["c_0c5mtzk3q8v1a"]
    )
    seed: int = Field(description="Of the random order of prompts.", examples=[123])
    prompts: int = Field(description="Prompts with answers of both.", examples=[1000])
    seen: int = Field(description="Prompts that were looked at.", examples=[220])
    missing: int = Field(description="Of these, prompts that lack a score.", examples=[2])
    difference: float | None = Field(
        description="Candidate minus baseline so far, in points of the criterion (pairs: of win rates).",
        examples=[0.31],
    )
    interval: tuple[float, float] | None = Field(
        description="Its confidence sequence at the last look; null: nobody looked yet.",
        examples=[[0.05, 0.52]],
    )
    finding: Literal["better", "worse", "equivalent", "inconclusive"] = Field(
        description="What is decided of the candidate.", examples=["better"]
    )


class BatchOut(Answered):
    """A batch as it stands."""

    batch_id: str = Field(description="Id of the batch.", examples=["b_0c5mtzk3q8v1a"])
    name: str | None = Field(description="The caller's name for it.", examples=["release 7"])
    status: Status = Field(description="Where it stands.", examples=["running"])
    stop_reason: str | None = Field(description="Why it stands still.", examples=[None])
    mode: Literal["live", "batch"] = Field(description="How judges are called.", examples=["live"])
    fallback: Literal["ordinary", "batch", "none"] | None = Field(
        description="With mode `batch`: what becomes of a seat that a provider's batch did not answer.",
        examples=[None],
    )
    reuse: Literal["never", "same_project"] = Field(
        description="Whether earlier verdicts are used again.", examples=["never"]
    )
    items: int = Field(description="Requests in it.", examples=[10000])
    counts: CountsOut = Field(description="How far it is.", examples=[{}])
    estimate: EstimateOut = Field(description="What it was thought to cost at first.", examples=[{}])
    budget: SpendingOut = Field(description="Its own budget.", examples=[{}])
    comparison: ComparisonOut | None = Field(
        description="The comparison that ends it once it is decided (`stop_when`), and how that stands.",
        examples=[None],
    )
    saved: SavedOut = Field(description="What it did not spend.", examples=[{}])
    providers: ProvidersOut | None = Field(
        description="With mode `batch`: what waits at the judges' providers.", examples=[None]
    )
    rate_per_s: float | None = Field(description="Items settled per second so far.", examples=[31.5])
    left_s: float | None = Field(description="Seconds left at that rate.", examples=[31.3])
    cost_left_usd: float | None = Field(
        description="What the items left will probably cost, at what items cost so far.", examples=[4.1]
    )
    created_at: datetime = Field(description="When it was sent.", examples=["2026-11-22T10:00:00Z"])
    started_at: datetime | None = Field(
        description="When its lines were checked.", examples=["2026-11-22T10:00:01Z"]
    )
    finished_at: datetime | None = Field(description="When it ended.", examples=[None])
    warnings: list[str] = Field(description="What to know of it.", examples=[[]])


class CheckedOut(Answered):
    """A file that could be a batch: nothing was begun."""

    items: int = Field(description="Requests in it.", examples=[10000])
    estimate: EstimateOut = Field(description="What it would cost.", examples=[{}])


class RetriedOut(Answered):
    """What is tried again."""

    retried: int = Field(description="Items that are graded anew.", examples=[3])
    batch: BatchOut = Field(description="The batch.", examples=[{}])


class WorkerOut(Answered):
    """A worker that lives."""

    host: str = Field(description="Its machine.", examples=["grader-1"])
    pid: int = Field(description="Its process.", examples=[4711])
    status: Literal["working", "draining"] = Field(
        description="Whether it begins calls.", examples=["working"]
    )
    places: int = Field(description="Calls it may have under way.", examples=[128])
    in_flight: int = Field(description="Calls under way.", examples=[120])
    chunks: int = Field(description="Chunks of batches it works on.", examples=[2])
    calls: int = Field(description="Calls made since it started.", examples=[51234])
    started_at: datetime = Field(description="When it started.", examples=["2026-11-22T10:00:00Z"])
    seen_at: datetime = Field(description="Its last sign of life.", examples=["2026-11-22T10:05:00Z"])


class KnownItemsIn(Body):
    """Items that the service knows with their texts, in place of lines."""

    rubric: Name = Field(description="Name of the rubric.", examples=["helpfulness"])
    item_ids: list[Name] = Field(
        min_length=1, max_length=1_000_000, description="Your ids of the items.", examples=[["ticket-1009"]]
    )
    systems: list[Name] | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="Whose answers to grade; by default all. Two for a pairwise rubric. Of each system the "
        "newest answer whose text is known.",
        examples=[["bot-v7"]],
    )
    panel: PanelIn = Field(
        default_factory=PanelIn, description="How judges are drawn and seated.", examples=[{"families": 3}]
    )
    max_cost_usd: float | None = Field(
        None, gt=0, le=1000, description="The most that all seats of an item may cost.", examples=[0.05]
    )
    timeout_s: float = Field(
        60, gt=0, le=600, description="Time until a seat without an answer is unscored.", examples=[60]
    )

    def wanted(self, first: int | None) -> KnownItems:
        """The same in the words of the domain."""
        panel = _in_stages(self.panel.request(), first)
        return KnownItems(self.rubric, self.item_ids, self.systems, panel, self.max_cost_usd, self.timeout_s)


class ResumeIn(Body):
    """How to go on."""

    top_up_usd: float = Field(
        0, ge=0, le=1_000_000, description="Added to the budget, in US dollars.", examples=[10]
    )


class RetryIn(Body):
    """What to try again."""

    partial: bool = Field(False, description="Also grades that are only partial.", examples=[False])


class DailyBudgetIn(Body):
    """The most that a project may cost in a day (UTC), batches and single grades together."""

    daily_usd: float | None = Field(
        ge=0, le=1_000_000_000, description="US dollars a day; null: no limit.", examples=[100]
    )


class DailyBudgetOut(Answered):
    """The budget of the day (UTC)."""

    today: SpendingOut = Field(description="What the project spent today.", examples=[{}])


@router.post(
    "/batches",
    status_code=202,
    response_model=BatchOut,
    summary="Grade many items",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One request of POST /grade per line, without `wait` and `callback_url`; or, as "
            "JSON, items that the service knows.",
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/KnownItemsIn"}},
            },
        }
    },
    responses={
        200: {"model": CheckedOut, "description": "Only checked (`dry_run`)"},
        **documented(400, 404, 413, 415, 422),
    },
)
async def create_batch(
    request: Request,
    caller: Grader,
    services: Served,
    name: Annotated[Name | None, Query(description="Your name for it.", examples=["release 7"])] = None,
    rubric: Annotated[
        Name | None, Query(description="For lines that name none.", examples=["helpfulness"])
    ] = None,
    budget_usd: Annotated[
        float | None,
        Query(
            ge=0,
            le=1_000_000_000,
            allow_inf_nan=False,
            description="The most it may cost; by default the high end of the estimate, with `mode=batch` "
            "what has to be set aside to send all requests at once, and a panel at its worst.",
            examples=[50],
        ),
    ] = None,
    mode: Annotated[
        Literal["live", "batch"],
        Query(
            description="`batch`: by the providers' batch endpoints, at their price (half, in general), "
            "within about a day. Judges whose provider has none are asked one by one.",
            examples=["live"],
        ),
    ] = "live",
    fallback: Annotated[
        Literal["ordinary", "batch", "none"] | None,
        Query(
            description="With `mode=batch`, for seats that a provider's batch did not answer and for judges "
            "that are asked in place of one without a verdict: `ordinary` asks them one by one, `batch` by "
            "another batch, once; `none` leaves seats unscored and asks nobody in their place. By default "
            "`ordinary`.",
            examples=["ordinary"],
        ),
    ] = None,
    reuse: Annotated[
        Literal["never", "same_project"],
        Query(
            description="Whether seats may take verdicts that the same judge version gave in this project on "
            "the same texts in the same order. They are marked, and never counted as repeats.",
            examples=["never"],
        ),
    ] = "never",
    first: Annotated[
        int | None,
        Query(
            ge=1,
            le=50,
            description="For requests that say nothing of `panel.stages`: ask judges of so many families "
            "first, and the others where the calibrated interval is wide or these disagree.",
            examples=[2],
        ),
    ] = None,
    stop_when: Annotated[
        str | None,
        Query(
            max_length=5_000,
            description="As JSON (`StopWhenIn`): grade prompts in random order, and stop once this "
            "comparison of two systems is decided. At most 100,000 lines.",
            examples=['{"baseline": "bot-v6", "candidate": "bot-v7"}'],
        ),
    ] = None,
    dry_run: Annotated[
        bool, Query(description="Only check the lines and estimate.", examples=[False])
    ] = False,
) -> Response:
    """Every line is checked before anything is paid; one bad line refuses the file, all are named."""
    stop = None if stop_when is None else _stop_rule(stop_when)
    if stop is not None and mode == "batch":
        wording = "what is with a provider is graded and paid: a batch of `mode=batch` cannot stop early"
        raise BadInput(wording, [Problem(wording, path="query.stop_when", value=stop_when)])
    if fallback is not None and mode != "batch":
        problem = Problem(
            "only a batch of `mode=batch` has a fallback", path="query.fallback", value=fallback
        )
        raise BadInput("there is nothing to fall back from", [problem])
    if _media_type(request) == "application/json":
        known = await read_json(request, KnownItemsIn)
        lines: Lines = services.batches.lines_of(caller.project, known.wanted(first))
    else:
        lines = _read_lines(request, rubric, first)
    if dry_run:
        items, estimate = await services.batches.check(caller.project, lines, BatchMode(mode), stop)
        return JsonResponse(orjson.dumps({"items": items, "estimate": _estimate(estimate)}))
    more = {"fallback": fallback or "ordinary"} if mode == "batch" else {}
    options = BatchOptions(mode=BatchMode(mode), reuse=Reuse(reuse), more=more)
    batch = await services.batches.create(
        caller.project, lines, options, name=name, budget_usd=budget_usd, stop=stop
    )
    url = f"{services.public_url or str(request.base_url).rstrip('/')}/batches/{show_id('b', batch.id)}"
    return JsonResponse(orjson.dumps(await _shown(services, batch)), 202, {"Location": url})


@router.get("/batches", summary="Batches, newest first", responses=documented(422))
async def list_batches(
    caller: Reader,
    services: Served,
    paging: Paging,
    status: Annotated[Status | None, Query(description="Only these.", examples=["running"])] = None,
) -> Page[BatchOut]:
    """Those of the project."""
    wanted = () if status is None else (BatchStatus(status),)
    page = await services.batches.list(
        caller.project, status=wanted, limit=paging.limit, cursor=paging.cursor
    )
    items = [BatchOut(**await _shown(services, batch)) for batch in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get(
    "/batches/{batch_id}", response_model=BatchOut, summary="A batch as it stands", responses=documented(404)
)
async def read_batch(batch_id: BatchId, caller: Reader, services: Served) -> Response:
    """With counts, cost, rate and time left."""
    return await _answer(services, await services.batches.get(caller.project, read_id("b", batch_id)))


@router.get(
    "/batches/{batch_id}/results",
    summary="The grades of a batch",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One document per graded item, in the order of the file (with `stop_when`: in the "
            "order graded): `line`, and `grade` or `problem`",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        },
        **documented(404, 422),
    },
)
async def batch_results(
    batch_id: BatchId,
    caller: Reader,
    services: Served,
    after: Annotated[int, Query(ge=-1, description="Only items after this `number`.", examples=[-1])] = -1,
) -> StreamingResponse:
    """Also while it runs: items that are not settled yet are left out."""
    batch = await services.batches.get(caller.project, read_id("b", batch_id))
    return StreamingResponse(
        _results(services.batches, caller, batch.id, after), media_type="application/x-ndjson"
    )


@router.delete(
    "/batches/{batch_id}", response_model=BatchOut, summary="Cancel a batch", responses=documented(404, 409)
)
async def cancel_batch(batch_id: BatchId, caller: Grader, services: Served) -> Response:
    """What is graded stays; calls under way are recorded."""
    return await _answer(services, await services.batches.cancel(caller.project, read_id("b", batch_id)))


@router.post(
    "/batches/{batch_id}/pause",
    response_model=BatchOut,
    summary="Pause a batch",
    responses=documented(404, 409),
)
async def pause_batch(batch_id: BatchId, caller: Grader, services: Served) -> Response:
    """No further call begins; calls under way are recorded."""
    return await _answer(services, await services.batches.pause(caller.project, read_id("b", batch_id)))


@router.post(
    "/batches/{batch_id}/resume",
    response_model=BatchOut,
    summary="Go on with a batch",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def resume_batch(
    batch_id: BatchId, caller: Grader, services: Served, body: ResumeIn | None = None
) -> Response:
    """One that was paused or ran out of its budget; with `top_up_usd` its budget is raised first."""
    top_up = body.top_up_usd if body else 0.0
    found = await services.batches.resume(caller.project, read_id("b", batch_id), top_up_usd=top_up)
    return await _answer(services, found)


@router.post(
    "/batches/{batch_id}/retry-failed",
    response_model=RetriedOut,
    summary="Grade failed items anew",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def retry_failed(
    batch_id: BatchId, caller: Grader, services: Served, body: RetryIn | None = None
) -> Response:
    """By a new panel; the failed grades stay on record."""
    found, count = await services.batches.retry_failed(
        caller.project, read_id("b", batch_id), partial=bool(body and body.partial)
    )
    return JsonResponse(orjson.dumps({"retried": count, "batch": await _shown(services, found)}))


@router.get("/budget", summary="The budget of the day", responses=documented())
async def get_budget(caller: Reader, services: Served) -> DailyBudgetOut:
    """Of all the project's grades, in batches or not, in UTC days."""
    return DailyBudgetOut(today=_spending(await services.allowances.today(caller.project)))


@router.put("/budget", summary="Limit what a day may cost", responses=documented(400, 413, 415, 422))
async def put_budget(body: DailyBudgetIn, caller: Admin, services: Served) -> DailyBudgetOut:
    """Hard: a batch that would pass it stops until the next day begins, a single grade is refused (402)."""
    found = await services.allowances.set_daily_budget(caller.project, body.daily_usd)
    return DailyBudgetOut(today=_spending(found))


@router.get("/workers", summary="Workers that live", responses=documented())
async def list_workers(caller: Reader, services: Served) -> list[WorkerOut]:
    """Without any, batches wait: start `venire worker`."""
    found = await services.batches.workers()
    return [WorkerOut(**{name: getattr(one, name) for name in WorkerOut.model_fields}) for one in found]


async def _answer(services: Services, batch: Batch) -> Response:
    return JsonResponse(orjson.dumps(await _shown(services, batch)))


async def _shown(services: Services, batch: Batch) -> dict[str, Any]:
    """The batch as documented by `BatchOut`."""
    counts, spending, saved = batch.counts, batch.spending, saved_by(batch)
    left = batch.items - counts.settled
    pace = services.batches.pace(batch)
    return {
        "batch_id": show_id("b", batch.id),
        "name": batch.name,
        "status": batch.status.value,
        "stop_reason": batch.stop_reason,
        "mode": batch.options.mode.value,
        "fallback": batch.options.fallback.value if batch.options.mode is BatchMode.BATCH else None,
        "reuse": batch.options.reuse.value,
        "items": batch.items,
        "counts": {
            "complete": counts.complete,
            "partial": counts.partial,
            "failed": counts.failed,
            "left": left,
            "calls": counts.calls,
            "reused": counts.reused,
        },
        "estimate": _estimate(batch.estimate),
        "budget": _spending(spending).model_dump(),
        "comparison": _comparison(batch),
        "saved": {
            "calls": saved.calls,
            "usd": saved.usd,
            "second_stage": saved.second_stage,
            "decided": saved.decided,
        },
        "providers": _providers(await services.batches.at_providers(batch)),
        "rate_per_s": pace.rate_per_s,
        "left_s": pace.left_s,
        "cost_left_usd": pace.cost_left_usd,
        "created_at": batch.created_at,
        "started_at": batch.started_at,
        "finished_at": batch.finished_at,
        "warnings": await services.batches.warnings(batch),
    }


def _stop_rule(given: str) -> StopRule:
    """The rule that a query says as JSON; BadInput with everything that is wrong with it."""
    try:
        return StopWhenIn.model_validate_json(given).rule()
    except ValidationError as error:
        found = (problem_of(one) for one in error.errors(include_url=False))
        problems = [
            replace(one, path=f"stop_when.{one.path.removeprefix('body.')}" if one.path else "stop_when")
            for one in found
        ]
        raise BadInput("stop_when is no comparison", problems) from None


def _comparison(batch: Batch) -> dict[str, Any] | None:
    rule, found = rule_of(batch.options), batch.comparison
    if rule is None or found is None:
        return None
    kept = {name: getattr(rule, name) for name in (*StopWhenIn.model_fields, "seed", "prompts")}
    calibration = None if rule.calibration_id is None else show_id("c", rule.calibration_id)
    return {**kept, "calibration_id": calibration, **asdict(found)}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    judges = [
        {
            "judge": one.judge,
            "way": "batch" if one.by_batch else "ordinary",
            "price_factor": one.price_factor,
            "seats": one.seats,
            "expected_usd": round(one.expected_usd, 9),
            "low_usd": round(one.low_usd, 9),
            "high_usd": round(one.high_usd, 9),
            "at_worst_usd": round(one.at_worst_usd, 9),
        }
        for one in estimate.judges
    ]
    return {
        "seats": estimate.seats,
        "expected_usd": round(estimate.expected_usd, 9),
        "low_usd": round(estimate.low_usd, 9),
        "high_usd": round(estimate.high_usd, 9),
        "judges": judges,
    }


def _providers(waiting: AtProviders | None) -> dict[str, Any] | None:
    if waiting is None:
        return None
    names = [name for name in ProviderBatchOut.model_fields if name != "intent"]
    batches = [
        {"intent": str(one.id), **{name: getattr(one, name) for name in names}} for one in waiting.batches
    ]
    return {"queued": waiting.queued, "sent": waiting.sent, "due_at": waiting.due_at, "batches": batches}


def _spending(spending: Spending) -> SpendingOut:
    left = spending.left_usd
    return SpendingOut(
        limit_usd=spending.limit_usd,
        spent_usd=round(spending.spent_usd, 9),
        held_usd=round(spending.held_usd, 9),
        suspect_usd=round(spending.suspect_usd, 9),
        left_usd=None if left is None else round(left, 9),
    )


async def _results(use: Batches, caller: Caller, batch_id: int, after: int) -> AsyncIterator[bytes]:
    async for one, grade in use.results(caller.project, batch_id, after=after):
        document: dict[str, Any] = {"number": one.number, "line": one.line}
        document |= {"problem": one.problem} if grade is None else {"grade": shown(grade)}
        yield orjson.dumps(document) + b"\n"


def _in_stages(panel: PanelRequest, first: int | None) -> PanelRequest:
    """The panel with the batch's own first stage, if it says nothing of stages."""
    return panel if first is None or panel.stages is not None else replace(panel, stages=Stages(first))


async def _read_lines(
    request: Request, rubric: str | None, first: int | None
) -> AsyncIterator[Sequence[Line]]:
    """The body's lines in blocks, each checked for its form in a thread."""
    given = _media_type(request)
    if given not in _JSONL:
        raise HTTPException(415, f"send {_JSONL[0]}, not {given or 'a body without a content type'}")
    held, number = b"", 0
    block: list[tuple[int, bytes]] = []
    async for part in request.stream():
        *whole, held = (held + part).split(b"\n")
        if len(held) > _LONGEST_LINE:
            raise HTTPException(413, f"line {number + len(whole) + 1} is longer than 16 MB")
        for line in whole:
            number += 1
            if line.strip():
                block.append((number, line))
            if len(block) >= _BLOCK:
                full, block = block, []
                yield await run_in_threadpool(_parse, full, rubric, first)
    if held.strip():
        block.append((number + 1, held))
    if block:
        yield await run_in_threadpool(_parse, block, rubric, first)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parse(lines: Sequence[tuple[int, bytes]], rubric: str | None, first: int | None) -> list[Line]:
    return [(number, _request(raw, rubric, first)) for number, raw in lines]


def _request(raw: bytes, rubric: str | None, first: int | None) -> Any:
    """The request of a line, or everything that is wrong with its form."""
    try:
        if rubric is None:
            body = GradeIn.model_validate_json(raw)
        else:
            given = orjson.loads(raw)
            if isinstance(given, dict):
                given.setdefault("rubric", rubric)
            body = GradeIn.model_validate(given)
    except ValidationError as error:
        return [problem_of(one) for one in error.errors(include_url=False)]
    except ValueError as error:
        return [Problem(f"not JSON: {error}")]
    unfit = [name for name in _NOT_IN_BATCHES if name in body.model_fields_set]
    if unfit:
        return [Problem("a request of a batch has no such field", path=name) for name in unfit]
    asked = body.request()
    return replace(asked, panel=_in_stages(asked.panel, first))
