"""Batch endpoints of both protocols, through the real SDKs, on the local provider server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile

import pytest

from app.domain.judging import UnscoredReason
from app.judges.batching import AtProvider, BatchWire, Ended, Standing
from app.judges.call import CallingJudge
from app.judges.completion import CallFailed
from app.judges.prompt import build_prompt
from tests.judges.conftest import CALLING, KEY, judge_of
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.server import Provider

pytestmark = pytest.mark.parametrize("protocol", CALLING)
QUESTIONS = {
    f"7-{number}-0": question_of(rubric_of(), f"Answer {number}.", seed=number) for number in range(12)
}


def batching(lines, provider: Provider, protocol: str, model: str = "alpha", **changes) -> CallingJudge:
    return judge_of(lines, provider.url(protocol), model, protocol, **changes)


def wire_of(judge: CallingJudge) -> BatchWire:
    assert judge.batches is not None
    return judge.batches


async def sent(wire: BatchWire, intent: str = "7") -> AtProvider:
    """A batch of all questions, as its provider confirms it."""
    with TemporaryFile() as file:
        for name, question in QUESTIONS.items():
            file.write(wire.line(name.replace("7", intent, 1), build_prompt(question)) + b"\n")
        uploaded = await wire.upload(f"venire-{intent}", file)
        return await wire.create(intent, file, uploaded)


async def fetched(wire: BatchWire, batch: AtProvider) -> dict:
    with TemporaryFile() as file:
        await wire.fetch(batch, file)
        file.seek(0)
        found = [wire.read(line) for line in file]
    assert len({one.custom_id for one in found}) == len(found)
    return {one.custom_id: one for one in found}


async def test_answers_in_a_batch_are_those_of_calls_at_half_the_price(lines, provider, protocol):
    judge = batching(lines, provider, protocol)
    wire = wire_of(judge)
    batch = await wire.look((await sent(wire)).id)
    assert batch.standing is Standing.COMPLETED
    assert (batch.requests, batch.done, batch.failed) == (12, 12, 0)
    results = await fetched(wire, batch)
    assert list(results) != list(QUESTIONS), "the server gives them in another order"
    for name, question in QUESTIONS.items():
        assert results[name].ended is Ended.ANSWERED
        in_batch = judge.reply_in_batch(results[name].completion, question)
        called = await judge.judge(question, deadline=1e9)
        assert in_batch.scores == called.scores != ()
        assert in_batch.usage.output_tokens == called.usage.output_tokens
        assert in_batch.usage.attempts == 1
        tokens = in_batch.usage
        paid = (tokens.input_tokens * 1.0 + tokens.output_tokens * 10.0) / 2e6
        assert in_batch.usage.cost_usd == pytest.approx(paid)
        assert in_batch.usage.cost_usd <= judge.worst_in_batch(build_prompt(question))


async def test_an_expired_batch_has_what_was_done_in_time(lines, provider, protocol):
    provider.batches.rules = replace(provider.batches.rules, finished=0.5)
    wire = wire_of(batching(lines, provider, protocol))
    batch = await wire.look((await sent(wire)).id)
    assert batch.standing is Standing.EXPIRED
    ended = [one.ended for one in (await fetched(wire, batch)).values()]
    assert ended.count(Ended.ANSWERED) == ended.count(Ended.EXPIRED) == 6


async def test_a_cancelled_batch_has_what_was_done_before(lines, provider, protocol):
    provider.batches.rules = replace(provider.batches.rules, takes_ms=1e9)
    wire = wire_of(batching(lines, provider, protocol))
    batch = await sent(wire)
    assert batch.standing is Standing.WORKING
    assert batch.expires_at is not None
    assert timedelta(hours=23) < batch.expires_at - datetime.now(UTC) < timedelta(hours=25)
    assert (await wire.cancel(batch.id)).standing is Standing.CANCELLED
    over = await wire.look(batch.id)
    assert {one.ended for one in (await fetched(wire, over)).values()} == {Ended.CANCELLED}
    assert (await wire.cancel(batch.id)).standing is Standing.CANCELLED, "twice changes nothing"


async def test_requests_fail_each_for_itself(lines, provider, protocol):
    provider.set_model("some", None, "500;times=3", "400;times=3", "refusal;times=3")
    judge = batching(lines, provider, protocol, "some")
    wire = wire_of(judge)
    results = await fetched(wire, await wire.look((await sent(wire)).id))
    failures = [one.failure for one in results.values() if one.failure is not None]
    assert sorted(failure.retry for failure in failures) == [False] * 3 + [True] * 3
    assert all(failure.reason is UnscoredReason.PROVIDER_ERROR for failure in failures)
    assert "injected 400" in str(failures)
    replies = [
        judge.reply_in_batch(one.completion, QUESTIONS[name])
        for name, one in results.items()
        if one.completion is not None
    ]
    assert len(replies) == 6
    reasons = [reply.unscored.reason for reply in replies if reply.unscored is not None]
    assert reasons == [UnscoredReason.REFUSAL] * 3


async def test_a_batch_whose_creation_was_not_heard_of_is_found_again(lines, provider, protocol):
    provider.batches.rules = replace(provider.batches.rules, loses=1)
    wire, since = wire_of(batching(lines, provider, protocol)), datetime.now(UTC) - timedelta(minutes=1)
    await_found = {"since": since, "requests": len(QUESTIONS), "known": ()}
    assert await wire.find("7", None, **await_found) == (None, True)
    with pytest.raises(CallFailed) as lost:
        await sent(wire)
    assert lost.value.retry
    other = await sent(wire, "8")
    found, _ = await wire.find("7", None, **await_found)
    assert found is not None
    assert found.id != other.id
    assert set(await fetched(wire, found)) == set(QUESTIONS)
    assert provider.batches.created == 2
    late = {**await_found, "since": datetime.now(UTC) + timedelta(minutes=1)}
    assert await wire.find("7", None, **late) == (None, True)


async def test_a_batch_at_work_without_a_mark_cannot_be_told_yet(lines, provider, protocol):
    provider.batches.rules = replace(provider.batches.rules, keeps_metadata=False, takes_ms=1e9)
    wire, since = wire_of(batching(lines, provider, protocol)), datetime.now(UTC) - timedelta(minutes=1)
    batch = await sent(wire)
    look = {"since": since, "requests": len(QUESTIONS)}
    if protocol == "anthropic":
        assert await wire.find("7", None, known=(), **look) == (None, False)
        assert await wire.find("7", None, known={batch.id}, **look) == (None, True)
        assert await wire.find("7", None, known=(), **{**look, "requests": 13}) == (None, True)
        provider.batches.rules = replace(provider.batches.rules, takes_ms=0)
        found, certain = await wire.find("7", None, known=(), **look)
        assert found is not None
        assert (found.id, certain) == (batch.id, True)
    else:
        assert await wire.find("7", None, known=(), **look) == (None, True)
        found, _ = await wire.find("7", "file-1", known=(), **look)
        assert found is not None
        assert found.id == batch.id


async def test_more_pages_of_batches_than_one_are_looked_through(lines, provider, protocol):
    wire, since = wire_of(batching(lines, provider, protocol)), datetime.now(UTC) - timedelta(minutes=1)
    first = await sent(wire)
    template = provider.batches.batches[first.id]
    for number in range(250):
        name = f"other-{number}"
        other = replace(template, id=name, metadata={}, lines=template.lines[:5], outcomes=[], ended_at=None)
        provider.batches.batches[name] = other
    found, certain = await wire.find("7", None, since=since, requests=len(QUESTIONS), known=())
    assert certain
    assert found is not None
    assert found.id == first.id


async def test_what_a_provider_refuses_is_said_without_secrets(lines, provider, protocol):
    wire = wire_of(batching(lines, provider, protocol))
    provider.batches.rules = replace(provider.batches.rules, refusals=1, refuses=503)
    with pytest.raises(CallFailed) as away:
        await sent(wire)
    assert away.value.retry
    provider.batches.rules = replace(provider.batches.rules, without=True)
    with pytest.raises(CallFailed) as missing:
        await sent(wire)
    assert (missing.value.retry, missing.value.status) == (False, 404)
    provider.batches.rules = replace(provider.batches.rules, without=False)
    with pytest.raises(CallFailed) as unknown:
        await wire.look("batch_none")
    assert unknown.value.status == 404
    assert KEY not in f"{away.value} {missing.value} {unknown.value}"


async def test_an_account_that_has_too_much_waiting_is_told_apart(lines, provider, protocol):
    provider.batches.rules = replace(provider.batches.rules, room=20, takes_ms=1e9)
    wire = wire_of(batching(lines, provider, protocol))
    assert (await sent(wire)).standing is Standing.WORKING
    if protocol == "anthropic":
        with pytest.raises(CallFailed) as limited:
            await sent(wire)
        assert limited.value.reason is UnscoredReason.RATE_LIMITED
    else:
        assert (await sent(wire)).standing is Standing.FULL


async def test_how_much_fits_is_the_providers_unless_the_roster_says_less(lines, provider, protocol):
    ours = wire_of(batching(lines, provider, protocol)).size
    assert ours.requests == (100_000 if protocol == "anthropic" else 50_000)
    assert ours.bytes == (256_000_000 if protocol == "anthropic" else 200_000_000)
    less = batching(lines, provider, protocol, "beta", batch_max_requests=10, batch_max_mb=0.5)
    assert (wire_of(less).size.requests, wire_of(less).size.bytes) == (10, 500_000)
    assert batching(lines, provider, protocol, "gamma", batch=False).batches is None
