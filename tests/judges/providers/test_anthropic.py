import pytest

from app.judges.prompt import build_prompt
from tests.judges.conftest import KEY, ask, judge_of
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.server import Provider

PROMPT = build_prompt(question_of(rubric_of()))


def judge(lines, provider: Provider, model: str = "alpha", **params):
    return judge_of(lines, provider.url("anthropic"), model, "anthropic", params=params)


async def test_the_request_asks_for_the_schema_and_sends_no_temperature_of_its_own(provider, lines):
    await ask(judge(lines, provider, output_config={"effort": "low"}))
    request = provider.requests[0]
    assert request.path == "/v1/messages"
    assert KEY in (request.headers.get("authorization", "") + request.headers.get("x-api-key", ""))
    assert request.headers["anthropic-version"]
    assert request.body == {
        "model": "alpha",
        "max_tokens": 2048,
        "system": PROMPT.system,
        "messages": [{"role": "user", "content": PROMPT.user}],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": PROMPT.schema}},
    }


async def test_a_configured_temperature_goes_along(provider: Provider, lines):
    await ask(judge(lines, provider, temperature=0.3))
    assert provider.requests[0].body["temperature"] == 0.3


async def test_the_fixed_part_is_marked_for_the_cache_where_configured(provider: Provider, lines):
    await ask(judge(lines, provider, cache_prompt=True))
    assert provider.requests[0].body["system"] == [
        {"type": "text", "text": PROMPT.system, "cache_control": {"type": "ephemeral"}}
    ]


async def test_a_forced_tool_gives_the_verdict_as_its_input(provider: Provider, lines):
    reply = await ask(judge(lines, provider, "alpha,pick=high", schema="tool"))
    assert [score.value for score in reply.scores] == [5.0]
    body = provider.requests[0].body
    assert body["tool_choice"] == {"type": "tool", "name": "verdict_pointwise"}
    assert body["tools"][0]["input_schema"] == PROMPT.schema
    assert "output_config" not in body


@pytest.mark.parametrize("fault", ["malformed", "prose"])
async def test_a_tool_input_that_is_no_verdict_is_unparsable(provider: Provider, lines, fault):
    reply = await ask(judge(lines, provider, f"alpha!{fault}", schema="tool"))
    assert reply.unscored is not None
    assert reply.unscored.reason == "unparsable"


async def test_cached_tokens_are_part_of_the_input(provider: Provider, lines):
    plain = (await ask(judge(lines, provider, "alpha"))).usage
    cached = (await ask(judge(lines, provider, "alpha,cached=100"))).usage
    assert cached.cached_tokens == 100
    assert cached.input_tokens == pytest.approx(plain.input_tokens, abs=5)


async def test_the_environment_does_not_redirect_calls(provider: Provider, lines, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-from-elsewhere")
    assert (await ask(judge(lines, provider))).unscored is None
    assert "elsewhere" not in str(provider.requests[0].headers)
