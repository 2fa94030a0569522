import asyncio
from dataclasses import replace

import pytest

from app.domain.judging import UnscoredReason
from app.domain.problems import BadInput
from app.judges.completion import CallFailed
from app.judges.config import JudgeConfig, read_judges
from app.judges.discover import ProbeResult, discover, probe, probed
from app.judges.roster import build_roster
from app.judges.roster_file import write_judges
from tests.judges.conftest import ask
from tests.provider_server.server import Provider, serving

MODELS = ("meta-llama/Llama-3.2-1B-Instruct", "qwen2.5:0.5b", "Qwen2.5:0.5B", "house-model")


def config_of(provider: Provider, model: str, protocol: str = "openai-compatible", **changes) -> JudgeConfig:
    base_url = provider.url("anthropic" if protocol == "anthropic" else "openai")
    return JudgeConfig(model, "test", protocol, model, base_url, timeout_s=5.0, **changes)


@pytest.mark.parametrize("address", ["http://{}:{}", "http://{}:{}/", "http://{}:{}/v1", "{}:{}"])
async def test_every_model_a_server_lists_is_proposed_with_a_family(address):
    async with serving(MODELS) as provider:
        proposals = await discover(address.format(*provider.address))
    assert [(p.config.name, p.config.family, p.config.model, p.family_known) for p in proposals] == [
        ("llama-3.2-1b-instruct", "llama", MODELS[0], True),
        ("qwen2.5-0.5b", "qwen", MODELS[1], True),
        ("qwen2.5-0.5b-2", "qwen", MODELS[2], True),
        ("house-model", "house-model", MODELS[3], False),
    ]
    assert {p.config.base_url for p in proposals} == {provider.url("openai")}
    assert {p.config.provider for p in proposals} == {"openai-compatible"}


async def test_a_server_that_is_not_there_is_said_to_be_so():
    async with serving() as gone:
        url = gone.url("openai")
    with pytest.raises(CallFailed, match="no reply"):
        await discover(url)


async def test_a_server_that_does_not_answer_is_not_waited_for():
    server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(5), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    with pytest.raises(CallFailed) as caught:
        await discover(f"http://{host}:{port}/v1", timeout_s=0.2)
    assert caught.value.reason == UnscoredReason.TIMEOUT
    server.close()


@pytest.mark.parametrize(
    ("settings", "schema", "top_logprobs"),
    [
        ("", "json_schema", 20),
        (",schema=json_object", "json_object", 20),
        (",schema=none", "none", 20),
        (",schema=ignored", "none", 20),
        (",logprobs=no", "json_schema", 0),
        (",logprobs=ignored", "json_schema", 0),
    ],
)
async def test_a_probe_finds_what_a_model_can_do(provider: Provider, settings, schema, top_logprobs):
    result = await probe(config_of(provider, f"alpha,pick=knows:Paris{settings}"))
    assert (result.schema, result.top_logprobs) == (schema, top_logprobs)
    assert result.works
    assert (result.right, result.asked, result.first_place) == (2, 2, False)
    assert result.latency_ms is not None


async def test_a_probe_finds_out_a_judge_that_always_takes_the_first_place(provider: Provider):
    result = await probe(config_of(provider, "alpha,pick=low"))
    assert (result.right, result.asked, result.first_place) == (1, 2, True)
    assert result.sentence().endswith("1 of 2 known answers right, picked the answer shown first both times")


@pytest.mark.parametrize(
    ("protocol", "logprobs"), [("openai", 20), ("openai-responses", 20), ("anthropic", 0)]
)
async def test_every_protocol_can_be_probed(provider: Provider, protocol, logprobs):
    result = await probe(config_of(provider, "alpha,pick=knows:Paris", protocol))
    assert (result.schema, result.top_logprobs, result.right) == ("json_schema", logprobs, 2)


async def test_a_model_that_gives_no_verdict_is_said_not_to_work(provider: Provider):
    result = await probe(config_of(provider, "alpha!prose"))
    assert not result.works
    assert result.sentence().startswith("gave no verdict: the reply has no JSON object")
    hanging = await probe(config_of(provider, "alpha!hang"), timeout_s=0.3)
    assert hanging.sentence().startswith("gave no verdict: no reply within ")


async def test_judges_that_call_no_model_cannot_be_probed():
    with pytest.raises(BadInput, match="nothing to probe"):
        await probe(JudgeConfig("j", "f", "simulated", "j"))


async def test_what_was_discovered_and_probed_judges_after_a_trip_through_the_file(lines):
    async with serving(("llama,schema=json_object", "qwen,logprobs=no", "phi,schema=none")) as provider:
        found = [proposal.config for proposal in await discover(provider.url("openai"))]
        written = [probed(config, await probe(config)) for config in found]
        file = read_judges(write_judges(written), {})
        assert file.problems == ()
        assert file.judges == tuple(written)
        roster = build_roster(file.judges, lines=lines)
        replies = [await ask(judge) for judge in roster.judges()]
        assert [reply.unscored for reply in replies] == [None, None, None]
        assert [judge.version.family for judge in roster.judges()] == ["llama", "qwen", "phi"]


def test_other_parameters_survive_a_probe():
    config = JudgeConfig("j", "f", "openai", "m", params='{"schema":"none","temperature":0}')
    result = ProbeResult("json_schema", 5, 2, 2, False, 1.0, None)
    assert probed(config, result).params == '{"temperature":0,"top_logprobs":5}'
    plain = replace(result, schema="json_object", top_logprobs=0)
    assert probed(probed(config, result), plain).params == '{"schema":"json_object","temperature":0}'
