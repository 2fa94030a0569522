"""Bulk grading: every batch with what it spends, the workers, the limits of the judges; and one batch."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.batches.saving import Saved, saved_by
from app.batches.stopping import rule_of
from app.domain.batches import AtProviders, Batch, BatchMode, BatchStatus, ProviderBatch, Spending, Worker
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput, Conflict, Problem
from app.domain.projects import ProjectLimits, Scope
from app.domain.rates import RateKind, RateState
from app.judges.config import JudgeConfig
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import NONE, Mark, ago, count, duration, moment, money, percent
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Grader = Annotated[Caller, needs(Scope.GRADE)]

STATUS_MARKS = {
    BatchStatus.CHECKING: Mark("being checked", "", "its lines are read; nothing is paid yet"),
    BatchStatus.RUNNING: Mark("running", "", "workers grade it"),
    BatchStatus.PAUSED: Mark("paused", "unsure", "no call begins until it is resumed"),
    BatchStatus.OUT_OF_BUDGET: Mark("out of budget", "unsure", "another call might pass its budget"),
    BatchStatus.DONE: Mark("done", "good", "every item is settled"),
    BatchStatus.DECIDED: Mark("decided", "good", "what it was to decide is decided"),
    BatchStatus.CANCELLED: Mark("cancelled", "", "ended by its caller"),
}

WAYS = {BatchMode.LIVE: "one by one", BatchMode.BATCH: "by their providers' batches, where these have them"}
PROVIDER_MARKS = {
    "intended": Mark("being sent", "", "on record, and not known to be at the provider yet"),
    "working": Mark("at work", "", "the provider works on it"),
    "cancelling": Mark("being cancelled", "", "what is done so far will be recorded"),
    "completed": Mark("completed", "good", "the provider is done with it"),
    "expired": Mark("expired", "unsure", "the provider did not answer all of it in time"),
    "cancelled": Mark("cancelled", "", "ended early; what was done is recorded"),
    "failed": Mark("failed", "bad", "it brought nothing"),
    "full": Mark("not taken", "unsure", "too much was waiting at the provider; its seats are sent later"),
}


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A row of the list."""

    id: str
    href: str
    name: str
    mark: Mark
    why: str
    settled: str
    items: str
    share: str
    failed: str
    spent: str
    saved: str
    budget: str
    left: str
    created: str


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker."""

    host: str
    pid: str
    mark: Mark
    in_flight: str
    chunks: str
    calls: str
    since: str


@dataclass(frozen=True, slots=True)
class LimitLine:
    """What a judge's provider lets us do, as the roster has it."""

    judge: str
    model: str
    requests: str
    tokens: str
    at_once: str
    price: str


@dataclass(frozen=True, slots=True)
class RateLine:
    """An allowance that all processes share, as it stands, and who takes of it."""

    of: str
    kind: str
    allowance: str
    used: str
    share: str
    ready: str
    mark: Mark
    turned_away: str
    holders: str


@dataclass(frozen=True, slots=True)
class BatchesPage:
    """The list. ``today`` are facts about the day's budget; ``no_worker`` says that batches wait."""

    title: str
    lines: tuple[BatchLine, ...]
    next_href: str | None
    workers: tuple[WorkerLine, ...]
    no_worker: bool
    limits: tuple[LimitLine, ...]
    rates: tuple[RateLine, ...]
    own_limits: tuple[tuple[str, str], ...]
    today: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A batch at a judge's provider."""

    judge: str
    name: str
    mark: Mark
    why: str
    requests: str
    done: str
    answered: str
    returned: str
    held: str
    spent: str
    due: str


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One batch. ``actions`` are what its caller may do now, by name and words; ``providers`` its batches
    at judges' providers, ``waiting`` facts about them."""

    title: str
    id: str
    mark: Mark
    why: str
    warnings: tuple[str, ...]
    wrong: str | None
    facts: tuple[tuple[str, str], ...]
    comparison: tuple[tuple[str, str], ...]
    money: tuple[tuple[str, str], ...]
    actions: tuple[tuple[str, str], ...]
    may_top_up: bool
    action_href: str
    results_href: str
    providers: tuple[ProviderLine, ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()


@router.get("/ui/batches")
async def batches_page(
    request: Request,
    caller: Reader,
    services: Served,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    """Newest first."""
    page = await services.batches.list(caller.project, limit=50, cursor=cursor)
    workers = await services.batches.workers()
    now = datetime.now(UTC)
    going = any(batch.status is BatchStatus.RUNNING for batch in page.items)
    context = BatchesPage(
        title="Batches",
        lines=tuple(_line(services, batch) for batch in page.items),
        next_href=url("batches", cursor=page.next_cursor) if page.next_cursor else None,
        workers=tuple(_worker(worker, now) for worker in workers),
        no_worker=going and not workers,
        limits=tuple(_limits(entry.config) for entry in services.roster.entries if entry.judge is not None),
        rates=tuple(_rate(state) for state in await services.allowances.rates(caller.project)),
        own_limits=_own_limits(await services.allowances.limits(caller.project)),
        today=_money(await services.allowances.today(caller.project)),
    )
    return show(request, "batches.html", context)


@router.get("/ui/batches/{batch_id}")
async def batch_page(
    request: Request,
    caller: Reader,
    services: Served,
    batch_id: str,
    wrong: Annotated[str | None, Query(max_length=300)] = None,
) -> Response:
    """One batch."""
    batch = await services.batches.get(caller.project, read_id("b", batch_id))
    counts, pace, saved = batch.counts, services.batches.pace(batch), saved_by(batch)
    steers = may(request, Scope.GRADE)
    estimate, waiting = batch.estimate, await services.batches.at_providers(batch)
    context = BatchPage(
        title=batch.name or batch_id,
        id=batch_id,
        mark=STATUS_MARKS[batch.status],
        why=batch.stop_reason or "",
        warnings=tuple(await services.batches.warnings(batch)),
        wrong=wrong,
        facts=(
            ("Items", count(batch.items)),
            ("Graded whole", count(counts.complete)),
            ("Graded in part", count(counts.partial)),
            ("Failed", count(counts.failed)),
            ("Still to grade", count(batch.items - counts.settled)),
            ("Judge calls", count(counts.calls)),
            ("Judge calls saved", _saved(saved)),
            ("Judges are asked", WAYS[batch.options.mode]),
            ("Seats with an earlier verdict", count(counts.reused)),
            ("Items per second", NONE if pace.rate_per_s is None else f"{pace.rate_per_s:,.1f}"),
            ("Time left", NONE if pace.left_s is None else duration(1000 * pace.left_s)),
            ("Sent", moment(batch.created_at)),
            ("Ended", moment(batch.finished_at)),
        ),
        comparison=_comparison(batch),
        money=(
            *_money(batch.spending),
            ("Probably to come", money(pace.cost_left_usd)),
            ("Saved, at what calls cost so far", money(saved.usd)),
            (
                "Estimated at first",
                f"{money(estimate.expected_usd)} ({money(estimate.low_usd)} to {money(estimate.high_usd)})",
            ),
        ),
        actions=_actions(batch) if steers else (),
        may_top_up=steers and not batch.status.over and batch.spending.limit_usd is not None,
        action_href=f"/ui/batches/{batch_id}",
        results_href=f"/batches/{batch_id}/results",
        providers=tuple(map(_provider, waiting.batches)) if waiting else (),
        waiting=_waiting(waiting) if waiting else (),
    )
    return show(request, "batch.html", context)


@router.post("/ui/batches/{batch_id}")
async def steer_batch(
    caller: Grader,
    services: Served,
    batch_id: str,
    action: Annotated[str, Form()],
    top_up_usd: Annotated[float, Form(ge=0, le=1_000_000, allow_inf_nan=False)] = 0.0,
) -> Response:
    """Do what a button says, and show the batch again."""
    key, use = read_id("b", batch_id), services.batches
    wrong = None
    try:
        if action == "pause":
            await use.pause(caller.project, key)
        elif action in ("resume", "top-up"):
            await use.resume(caller.project, key, top_up_usd=top_up_usd)
        elif action == "cancel":
            await use.cancel(caller.project, key)
        elif action == "retry-failed":
            await use.retry_failed(caller.project, key)
        else:
            raise BadInput("there is no such action", [Problem("unknown", path="action", value=action)])
    except Conflict as conflict:
        wrong = str(conflict)
    return RedirectResponse(url("batches", batch_id, wrong=wrong), 303, HEADERS)


def _comparison(batch: Batch) -> tuple[tuple[str, str], ...]:
    """The comparison that ends the batch, as it stands."""
    rule, found = rule_of(batch.options), batch.comparison
    if rule is None or found is None:
        return ()
    low, high = found.interval or (None, None)
    ends = NONE if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    about = "this batch's prompts" if rule.population == "these_units" else "prompts like these"
    return (
        ("Candidate against baseline", f"{rule.candidate} against {rule.baseline}"),
        ("On", f"{rule.criterion}, {rule.scores.value} scores, {about}"),
        ("Difference so far", NONE if found.difference is None else f"{found.difference:+.3f}"),
        (f"Interval, {rule.level:.0%} at every look", ends),
        ("Finding", found.finding),
        ("Prompts looked at", f"{count(found.seen)} of {count(rule.prompts)}"),
        ("Of these without a score", count(found.missing)),
        ("Difference that does not matter", f"{rule.margin:g}" if rule.margin else "none"),
    )


def _saved(saved: Saved) -> str:
    """How many, and why where there are several reasons."""
    if saved.decided and saved.second_stage:
        return f"{count(saved.calls)} ({count(saved.decided)} by the decision)"
    return count(saved.calls)


def _waiting(waiting: AtProviders) -> tuple[tuple[str, str], ...]:
    return (
        ("Seats to be sent", count(waiting.queued)),
        ("Seats in batches at providers", count(waiting.sent)),
        ("All of these are due", moment(waiting.due_at)),
    )


def _provider(one: ProviderBatch) -> ProviderLine:
    return ProviderLine(
        judge=one.judge,
        name=one.provider_id or NONE,
        mark=PROVIDER_MARKS[one.standing or one.state],
        why=one.detail or "",
        requests=count(one.requests),
        done=count(one.done),
        answered=count(one.answered),
        returned=count(one.returned),
        held=money(one.held_usd),
        spent=money(one.spent_usd),
        due=moment(one.ended_at or one.expires_at),
    )


def _actions(batch: Batch) -> tuple[tuple[str, str], ...]:
    found = []
    if batch.status is BatchStatus.RUNNING:
        found.append(("pause", "Pause"))
    if batch.status in (BatchStatus.PAUSED, BatchStatus.OUT_OF_BUDGET):
        found.append(("resume", "Resume"))
    if batch.counts.failed and batch.status not in (BatchStatus.CANCELLED, BatchStatus.DECIDED):
        found.append(("retry-failed", "Grade failed items anew"))
    if not batch.status.over:
        found.append(("cancel", "Cancel"))
    return tuple(found)


def _line(services: Services, batch: Batch) -> BatchLine:
    counts, pace, shown = batch.counts, services.batches.pace(batch), show_id("b", batch.id)
    limit = batch.spending.limit_usd
    return BatchLine(
        id=shown,
        href=f"/ui/batches/{shown}",
        name=batch.name or shown,
        mark=STATUS_MARKS[batch.status],
        why=batch.stop_reason or "",
        settled=count(counts.settled),
        items=count(batch.items),
        share=percent(counts.settled / batch.items if batch.items else None),
        failed=count(counts.failed),
        spent=money(batch.spending.spent_usd),
        saved=count(saved_by(batch).calls),
        budget="no limit" if limit is None else money(limit),
        left=NONE if pace.left_s is None else duration(1000 * pace.left_s),
        created=moment(batch.created_at),
    )


def _worker(worker: Worker, now: datetime) -> WorkerLine:
    working = worker.status == "working"
    return WorkerLine(
        host=worker.host,
        pid=str(worker.pid),
        mark=Mark("working", "good", "begins calls")
        if working
        else Mark("draining", "", "ends once its calls are recorded"),
        in_flight=f"{worker.in_flight} of {worker.places}",
        chunks=count(worker.chunks),
        calls=count(worker.calls),
        since=ago(worker.started_at, now),
    )


_UNITS = {
    RateKind.REQUESTS: "requests a minute",
    RateKind.TOKENS: "tokens a minute",
    RateKind.DOLLARS: "dollars a day",
}


def _rate(state: RateState) -> RateLine:
    shown = money if state.kind is RateKind.DOLLARS else count_of
    slowed = Mark("slowed down", "unsure", "calls were turned away; it grows back within a minute")
    return RateLine(
        of=state.scope or "this project",
        kind=_UNITS[state.kind],
        allowance=shown(state.allowance),
        used=shown(max(0.0, state.used)),
        share=percent(max(0.0, state.used) / state.allowance if state.allowance else None),
        ready=shown(max(0.0, state.level)),
        mark=Mark("flows", "good", "as configured") if state.factor >= 1.0 else slowed,
        turned_away=count(state.turned_away),
        holders=", ".join(f"{one.host}:{one.pid} ({shown(one.used)})" for one in state.holders) or NONE,
    )


def count_of(amount: float) -> str:
    """An amount that flows, as a whole number."""
    return count(round(amount))


def _own_limits(limits: ProjectLimits) -> tuple[tuple[str, str], ...]:
    def rate(value: float | None) -> str:
        return "no limit" if value is None else f"{value:,.0f}"

    return (
        ("Requests a minute", rate(limits.requests_per_minute)),
        ("Tokens a minute", rate(limits.tokens_per_minute)),
    )


def _limits(config: JudgeConfig) -> LimitLine:
    def rate(value: float | None) -> str:
        return "no limit" if value is None else f"{value:,.0f}"

    prices = f"{config.price_input_per_mtok:g} and {config.price_output_per_mtok:g}"
    return LimitLine(
        judge=config.name,
        model=config.model,
        requests=rate(config.requests_per_minute),
        tokens=rate(config.tokens_per_minute),
        at_once=count(config.max_concurrency),
        price=prices,
    )


def _money(spending: Spending) -> tuple[tuple[str, str], ...]:
    limit = "no limit" if spending.limit_usd is None else money(spending.limit_usd)
    return (
        ("Budget", limit),
        ("Spent", money(spending.spent_usd)),
        ("Set aside for calls under way", money(spending.held_usd)),
        ("Calls without word may have cost up to", money(spending.suspect_usd)),
    )
