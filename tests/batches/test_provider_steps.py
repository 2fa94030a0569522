"""What workers do for batches at providers, step by step, on each kind of database, with the real SDKs on the
local provider server; time is the test's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from app.batches.batches import Batches
from app.batches.chunk import Chunks
from app.batches.places import Places
from app.batches.providers.duty import Providers
from app.batches.seats import Seats
from app.batches.standing import Standing
from app.calibration.apply import CalibratedScores
from app.domain.batches import AtProviders, Batch, BatchMode, BatchOptions, BatchStatus
from app.domain.items import Answer, Item
from app.domain.judging import PanelRequest, Stages
from app.domain.projects import Project
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.grading.grade import Grading
from app.grading.requests import GradeRequest
from app.grading.results import Grade
from app.grading.rubrics import Rubrics
from app.judges.batching import AtProvider
from app.judges.config import JudgeConfig
from app.judges.openai_batches import OpenAIBatches
from app.judges.roster import build_roster
from app.storage import workers
from app.storage.budgets import set_daily_limit, spending_of_day
from app.storage.chunks import ClaimedChunk, finish_chunk, open_batches
from app.storage.database import Database
from app.storage.projects import get_or_create_project
from app.storage.workers import Load
from tests.provider_server.server import Provider

PROTOCOLS = ("openai", "openai-responses", "anthropic")
RUBRIC = Rubric("point", RubricKind.POINTWISE, "Judge.", (Criterion("help", "Does it help?", Scale(1, 5)),))


@dataclass
class Clock:
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass
class Worker:
    """A worker without its process and its engine."""

    db: Database
    project: Project
    use: Batches
    chunks: Chunks
    providers: Providers
    standing: Standing
    seats: Seats
    clock: Clock

    async def send(
        self,
        items: int,
        *,
        budget: float | None = 50.0,
        fallback: str = "ordinary",
        panel: PanelRequest | None = None,
    ) -> Batch:
        options = BatchOptions(mode=BatchMode.BATCH, more={"fallback": fallback})
        lines = _lines(items, panel or PanelRequest())
        return await self.use.create(self.project, lines, options, budget_usd=budget)

    async def grade(self) -> None:
        """Every chunk that is to be graded now."""
        for batch in await open_batches(self.db, 100):
            for number in batch.next:
                await self.chunks.grade(batch.id, number)

    async def look(self, *, after: float = 0.0) -> None:
        """Make batches, and do what is due for them ``after`` so many minutes."""
        self.clock.pass_by(minutes=after)
        await self.providers.form()
        await self.providers.go_on()
        await self.providers.done()

    async def finish(self, batch: Batch) -> Batch:
        """Go on until it stands still."""
        for _ in range(40):
            await self.grade()
            await self.look(after=15)
            found = await self.use.get(self.project, batch.id)
            if found.status is not BatchStatus.RUNNING:
                return found
        raise AssertionError(await self.at(batch))

    async def at(self, batch: Batch) -> AtProviders:
        found = await self.use.at_providers(batch)
        assert found is not None
        return found

    async def grades(self, batch: Batch) -> list[Grade]:
        found = [grade async for _, grade in self.use.results(self.project, batch.id)]
        return [grade for grade in found if grade is not None]


async def _lines(items: int, panel: PanelRequest) -> AsyncIterator[Sequence[tuple[int, GradeRequest]]]:
    answers = [Answer("bot", f"Answer {number}.") for number in range(items)]
    yield [
        (number, GradeRequest("point", Item(prompt=f"Question {number}?", answers=(answer,)), panel))
        for number, answer in enumerate(answers, 1)
    ]


@contextlib.asynccontextmanager
async def working(
    url: str, server: Provider, clock: Clock, *, protocols: Sequence[str] = PROTOCOLS, **judge: object
) -> AsyncIterator[Worker]:
    """A worker with a judge of each protocol."""
    configs = [
        JudgeConfig(
            name=name,
            family=name,
            provider=name,
            model=f"m-{name}",
            base_url=server.url(name),
            api_key="secret",
            price_input_per_mtok=2.0,
            price_output_per_mtok=10.0,
            **judge,  # type: ignore[arg-type]
        )
        for name in PROTOCOLS
        if name in protocols
    ]
    roster = build_roster(configs)
    async with Database(url) as db:
        project = await get_or_create_project(db, now=clock())
        rubrics = Rubrics(db)
        await rubrics.put(project, RUBRIC)
        scores = CalibratedScores(db, clock=lambda: 0.0)
        grading = Grading(
            db,
            roster,
            rubrics,
            scores,
            lambda work, name: asyncio.ensure_future(work),
            watch=lambda judge, reply: None,
            finished=lambda: None,
            now=clock,
        )
        standing = Standing(db, lambda: Load(10))
        seats = Seats(
            db, grading.judges, standing, Places(10), lambda judge, reply: None, rng=Random(1), now=clock
        )
        providers = Providers(
            db,
            grading.judges,
            rubrics,
            standing,
            lambda judge, reply: None,
            poll=timedelta(minutes=1),
            now=clock,
        )
        chunks = Chunks(db, grading, rubrics, standing, seats, providers, at_once=10, now=clock)
        await standing.enter()
        use = Batches(db, roster, grading, rubrics, clock)
        try:
            yield Worker(db, project, use, chunks, providers, standing, seats, clock)
        finally:
            await providers.stop()
            await seats.purses.close()
            await workers.leave(db)
            await roster.close()


def billed_usd(server: Provider) -> float:
    """What the server would bill: batches at half the price."""
    tokens = [(0.5, server.batches.billed), (1.0, server.billed)]
    return sum(
        factor * (one["input"] * 2.0 + one["output"] * 10.0) / 1e6
        for factor, billed in tokens
        for one in billed.values()
    )


def rule(server: Provider, **rules: object) -> None:
    server.batches.rules = replace(server.batches.rules, **rules)  # type: ignore[arg-type]


async def test_two_workers_make_of_the_same_seats_one_batch(database_url, provider):
    clock = Clock()
    async with working(database_url, provider, clock) as one, working(database_url, provider, clock) as other:
        batch = await one.send(8)
        await asyncio.gather(one.grade(), other.grade())
        await asyncio.gather(one.look(), other.look(), one.look(), other.look())
        assert provider.batches.created == 3
        assert [b.requests for b in (await one.at(batch)).batches] == [8, 8, 8]
        done = await other.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 8)
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))
        assert sum(provider.batches.processed.values()) == 24


async def test_an_account_that_is_full_is_sent_less_later(database_url, provider):
    rule(provider, room=30)
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(20)
        rule(provider, takes_ms=1e9)
        await worker.grade()
        for _ in range(3):
            await worker.look()
        standings = sorted(str(one.standing) for one in (await worker.at(batch)).batches)
        assert standings == ["full", "full", "working"]
        assert (await worker.at(batch)).queued == 40, "the seats wait here"
        rule(provider, takes_ms=0)
        done = await worker.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 20)
        batches = (await worker.at(batch)).batches
        assert {one.requests for one in batches if one.standing == "completed"} >= {20, 10}
        assert sum(provider.calls.values()) == 0
        assert done.spending.held_usd == 0.0
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))


async def test_a_batch_that_is_cancelled_before_it_is_sent_leaves_nothing_that_waits(database_url, provider):
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(4)
        await worker.grade()
        await worker.providers.form()
        assert (await worker.at(batch)).sent == 12, "made, not sent yet"
        await worker.use.cancel(worker.project, batch.id)
        await worker.providers.go_on()
        await worker.providers.done()
        at = await worker.at(batch)
        assert {one.standing for one in at.batches} == {"cancelled"}
        assert (at.queued, at.sent, provider.batches.created) == (0, 0, 0)
        found = await worker.use.get(worker.project, batch.id)
        assert found.spending.held_usd == found.spending.spent_usd == 0.0


async def test_a_batch_that_shows_as_done_holds_no_money(database_url, provider, monkeypatch):
    held = []

    async def finish(db: Database, chunk: ClaimedChunk, *, now: datetime) -> bool:
        held.append((await spending_of_day(db, chunk.project.id, now=now)).held_usd)
        return await finish_chunk(db, chunk, now=now)

    monkeypatch.setattr("app.batches.chunk.finish_chunk", finish)
    async with working(database_url, provider, Clock()) as worker:
        rule(provider, without=True)
        done = await worker.finish(await worker.send(5))
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 5)
    assert held == [0.0]


async def test_a_batch_that_its_provider_lost_is_paid_for_at_worst_and_asked_one_by_one(
    database_url, provider
):
    rule(provider, takes_ms=1e9)
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(5)
        await worker.grade()
        await worker.look()
        held = (await worker.use.get(worker.project, batch.id)).spending.held_usd
        assert held > 0
        provider.batches.batches.clear()
        await worker.look(after=10)
        lost = await worker.at(batch)
        assert {one.standing for one in lost.batches} == {"failed"}
        assert (lost.queued, lost.sent) == (0, 0)
        done = await worker.finish(batch)
        assert done.counts.complete == 5
        assert sum(provider.calls.values()) == 15
        assert done.spending.suspect_usd == pytest.approx(held)
        assert done.spending.held_usd == 0.0


@pytest.mark.parametrize("metadata", [True, False], ids=["marked", "unmarked"])
async def test_a_creation_whose_answer_was_lost_is_not_repeated(database_url, provider, metadata):
    rule(provider, loses=3, keeps_metadata=metadata, takes_ms=1e9)
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(4)
        await worker.grade()
        await worker.look()
        assert provider.batches.created == 3
        assert [one.state for one in (await worker.at(batch)).batches] == ["intended"] * 3
        for _ in range(3):
            await worker.look(after=10)
        states = [one.state for one in (await worker.at(batch)).batches]
        assert sorted(states) == ["intended", "sent", "sent"], "Anthropic's cannot be told yet"
        rule(provider, takes_ms=0)
        done = await worker.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 4)
        assert provider.batches.created == 3
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))


async def test_a_creation_that_never_arrived_is_begun_again_after_two_looks(database_url, provider):
    rule(provider, refusals=3, refuses=503)
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(4)
        await worker.grade()
        await worker.look()
        assert provider.batches.created == 0
        await worker.look(after=5)
        assert provider.batches.created == 0, "lists may lag: one look is not enough"
        await worker.look(after=5)
        assert provider.batches.created == 3
        assert (await worker.finish(batch)).counts.complete == 4


async def test_what_a_frozen_worker_creates_after_it_was_replaced_is_ended(
    database_url, provider, monkeypatch
):
    clock, thawed, frozen = Clock(), asyncio.Event(), asyncio.Barrier(3)
    rule(provider, takes_ms=1e9)
    create = OpenAIBatches.create

    async def create_late(*arguments: Any) -> AtProvider:
        await frozen.wait()
        await thawed.wait()
        return await create(*arguments)

    async with working(database_url, provider, clock) as one, working(database_url, provider, clock) as other:
        batch = await one.send(4)
        await one.grade()
        monkeypatch.setattr(OpenAIBatches, "create", create_late)
        await one.providers.form()
        await one.providers.go_on()
        await frozen.wait()
        for _ in range(1000):  # until Anthropic's is there
            if "sent" in {b.state for b in (await one.at(batch)).batches}:
                break
            await asyncio.sleep(0.02)
        monkeypatch.setattr(OpenAIBatches, "create", create)
        await workers.bury(other.db, one.db.process_id)
        for _ in range(3):
            await other.look(after=5)
        assert {b.state for b in (await other.at(batch)).batches} == {"sent"}
        thawed.set()
        await one.providers.done()
        made = provider.batches.state()["batches"]
        assert len(made) == 5, "the two of OpenAI's protocols were created twice"
        assert [b["status"] for b in made].count("cancelled") == 2
        rule(provider, takes_ms=0)
        done = await other.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 4)
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))


async def test_a_provider_that_takes_no_batch_for_an_hour_is_asked_one_by_one(database_url, provider):
    rule(provider, refusals=10_000)
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(3)
        done = await worker.finish(batch)
        assert done.counts.complete == 3
        assert (provider.batches.created, sum(provider.calls.values())) == (0, 9)
        assert {one.standing for one in (await worker.at(batch)).batches} == {"failed"}
        assert done.spending.suspect_usd == 0.0


async def test_a_worker_that_dies_while_it_collects_leaves_the_rest_to_the_next(
    database_url, provider, monkeypatch
):
    from app.batches.providers import collecting

    clock, pages = Clock(), 0
    record = collecting.record

    async def record_once(*arguments: object) -> None:
        nonlocal pages
        pages += 1
        if pages > 1:
            raise asyncio.CancelledError
        await record(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("app.batches.providers.reading._PAGE", 10)
    rule(provider, takes_ms=1e9)
    async with working(database_url, provider, clock) as first:
        batch = await first.send(25)
        await first.grade()
        await first.look()
        rule(provider, takes_ms=0)
        monkeypatch.setattr(collecting, "record", record_once)
        await first.look(after=10)
        halfway = await first.at(batch)
        assert [one.answered for one in halfway.batches] in ([10, 0, 0], [0, 10, 0], [0, 0, 10])
        monkeypatch.setattr(collecting, "record", record)
    async with working(database_url, provider, clock) as second:
        done = await second.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 25)
        assert done.counts.calls == 75
        assert sum(provider.batches.processed.values()) == 75
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))
        assert done.spending.held_usd == done.spending.suspect_usd == 0.0


async def test_seats_of_a_judge_that_left_the_roster_are_asked_for_no_more(database_url, provider):
    clock = Clock()
    async with working(database_url, provider, clock) as first:
        batch = await first.send(3)
        await first.grade()
        assert (await first.at(batch)).queued == 9
    async with working(database_url, provider, clock, protocols=("openai", "anthropic")) as second:
        await second.providers.tidy()
        assert (await second.at(batch)).queued == 6
        done = await second.finish(batch)
        reasons = [
            outcome.reply.unscored.detail
            for grade in await second.grades(batch)
            for outcome in grade.seats
            if outcome.reply is not None and outcome.reply.unscored is not None
        ]
        assert reasons == ["the judge is not on the roster any more"] * 3
        assert done.counts.partial + done.counts.complete == 3


async def test_a_batch_whose_judge_left_waits_for_it_and_is_given_up_in_the_end(database_url, provider):
    clock = Clock()
    rule(provider, takes_ms=1e9)
    async with working(database_url, provider, clock) as first:
        batch = await first.send(2)
        await first.grade()
        await first.look()
    async with working(database_url, provider, clock, protocols=("openai", "anthropic")) as second:
        await second.look(after=30)
        waiting = {one.judge: one for one in (await second.at(batch)).batches}
        assert "not on the roster" in (waiting["openai-responses"].detail or "")
        rule(provider, takes_ms=0)
        clock.pass_by(days=3)
        await second.look()
        await second.providers.tidy()
        done = await second.finish(batch)
        assert done.counts.partial + done.counts.complete == 2
        assert done.spending.suspect_usd > 0
        assert done.spending.held_usd == 0.0


async def test_a_batch_without_money_stops_and_goes_on_when_it_is_topped_up(database_url, provider):
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(4, budget=0.0001)
        stopped = await worker.finish(batch)
        assert stopped.status is BatchStatus.OUT_OF_BUDGET
        assert provider.batches.created == 0
        await worker.use.resume(worker.project, batch.id, top_up_usd=1.0)
        done = await worker.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 4)


async def test_the_day_s_budget_holds_for_batches_too(database_url, provider):
    async with working(database_url, provider, Clock()) as worker:
        await set_daily_limit(worker.db, worker.project.id, 0.0001, now=worker.clock())
        batch = await worker.send(2)
        stopped = await worker.finish(batch)
        assert stopped.status is BatchStatus.OUT_OF_BUDGET
        assert "of the day" in (stopped.stop_reason or "")
        assert provider.batches.created == 0


@pytest.mark.parametrize("fallback", ["ordinary", "batch"])
async def test_second_stages_are_asked_one_by_one_or_by_another_batch(database_url, provider, fallback):
    panel = PanelRequest(stages=Stages(first=2, least_chance=0.5))
    async with working(database_url, provider, Clock()) as worker:
        batch = await worker.send(30, fallback=fallback, panel=panel)
        done = await worker.finish(batch)
        assert (done.status, done.counts.complete) == (BatchStatus.DONE, 30)
        asked = sum(len(grade.seats) for grade in await worker.grades(batch))
        assert 60 < asked < 90
        called, by_batch = sum(provider.calls.values()), sum(provider.batches.processed.values())
        assert (called, by_batch) == ((asked - 60, 60) if fallback == "ordinary" else (0, asked))
        assert done.spending.spent_usd == pytest.approx(billed_usd(provider))
