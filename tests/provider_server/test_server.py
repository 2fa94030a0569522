"""The server's replies are what the real SDKs take for real ones, and it counts and fails as told."""

import asyncio
import json
import subprocess
import sys

import anthropic
import httpx2
import openai
import pytest

from tests.provider_server.behaviour import Behaviour, read_fault, read_name, struck
from tests.provider_server.fixture import ROOT, provider_process
from tests.provider_server.server import Provider
from tests.provider_server.verdicts import find_form, picker, pieces

SCHEMA = {
    "type": "object",
    "properties": {
        "rationale": {"type": "string"},
        "tone": {"type": "string", "enum": ["Poor", "Fair", "Very good"]},
        "help": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
        "each": {"type": "object", "properties": {"A": {"type": "number", "minimum": 0, "maximum": 1}}},
    },
}


async def test_typed_sdk_calls_accept_every_protocol_strictly(provider: Provider):
    client = openai.AsyncOpenAI(
        api_key="k", base_url=provider.url("openai"), max_retries=0, _strict_response_validation=True
    )
    form = {"name": "v", "strict": True, "schema": SCHEMA}
    chat = await client.chat.completions.create(
        model="alpha",
        messages=[{"role": "user", "content": "hi"}],
        response_format={"type": "json_schema", "json_schema": form},
        logprobs=True,
        top_logprobs=3,
    )
    said = json.loads(chat.choices[0].message.content or "")
    assert said["help"] in (1, 2, 3, 4, 5)
    assert said["tone"] in ("Poor", "Fair", "Very good")
    tokens = chat.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == chat.choices[0].message.content
    response = await client.responses.create(
        model="alpha", input="hi", text={"format": {"type": "json_schema", **form}}
    )
    assert json.loads(response.output_text)["help"] in (1, 2, 3, 4, 5)
    models = await client.models.list()
    assert [model.id for model in models.data] == list(provider.offered)
    await client.close()
    other = anthropic.AsyncAnthropic(
        api_key="k", base_url=provider.url("anthropic"), max_retries=0, _strict_response_validation=True
    )
    message = await other.messages.create(
        model="alpha",
        max_tokens=100,
        messages=[{"role": "user", "content": "hi"}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    assert json.loads(message.content[0].text)["help"] in (1, 2, 3, 4, 5)
    await other.close()
    assert provider.calls == {"alpha": 3}


def test_the_same_text_gets_the_same_verdict_and_others_spread_over_the_scale():
    def verdict(text: str) -> str:
        return "".join(token for token, _ in pieces(SCHEMA, picker("hash", text)))

    assert verdict("one") == verdict("one")
    assert len({json.loads(verdict(str(n)))["help"] for n in range(50)}) == 5


def test_the_form_of_reply_in_a_prompt_is_understood_as_a_schema():
    form = (
        'in this form:\n{"rationale": <two or three sentences>, "help": <a whole number from 1 to 5>, '
        '"harm": {"A": <a number from 0 to 1 in steps of 0.25>}, "tone": <one of "Poor", "Fair">}'
    )
    assert find_form(form) == {
        "type": "object",
        "properties": {
            "rationale": {"type": "string"},
            "help": {"type": "integer", "minimum": 1.0, "maximum": 5.0},
            "harm": {
                "type": "object",
                "properties": {"A": {"type": "number", "minimum": 0.0, "maximum": 1.0, "multipleOf": 0.25}},
            },
            "tone": {"type": "string", "enum": ["Poor", "Fair"]},
        },
    }


def test_names_carry_behaviour_and_faults():
    behaviour, faults = read_name("alpha,pick=high,latency=20!429;retry-after=1;times=2!reset;times=1")
    assert behaviour == Behaviour(pick="high", latency=20.0)
    assert [struck(faults) and struck_kind for struck_kind in ("429", "429", "reset")] == [
        "429",
        "429",
        "reset",
    ]
    assert struck(faults) is None
    with pytest.raises(ValueError, match="unknown fault"):
        read_fault("explode")
    with pytest.raises(ValueError, match="unknown settings"):
        read_name("alpha,temper=bad")


def test_a_rate_of_faults_is_kept_exactly():
    fault = read_fault("500;rate=0.1")
    assert sum(fault.strikes() for _ in range(1000)) == 100


def test_it_runs_in_its_own_process_and_is_controlled_over_http():
    with provider_process() as url, httpx2.Client(base_url=url, timeout=30) as http:
        body = {"model": "alpha", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        http.post("/control/model", json={"name": "alpha", "faults": ["500;times=1"]})
        assert http.post("/v1/chat/completions", json=body).status_code == 500
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert http.post("/control").json()["calls"] == {"alpha": 3}
        assert http.post("/control/reset").json()["calls"] == {}
        assert http.get("/v1/nothing").status_code == 404
        assert http.post("/v1/messages", content=b"not json").status_code == 400


def test_its_process_ends_when_told():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.provider_server"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("listening on http://127.0.0.1:")
    process.terminate()
    assert process.wait(60) == 0
    process.stdout.close()


async def test_it_answers_many_connections_at_once(provider: Provider):
    body = {"model": "alpha,latency=20", "messages": [{"role": "user", "content": "hi"}]}
    async with httpx2.AsyncClient(base_url=provider.url(""), timeout=30) as http:
        replies = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(30)))
    assert {reply.status_code for reply in replies} == {200}
    assert provider.most_in_flight["alpha,latency=20"] > 5
