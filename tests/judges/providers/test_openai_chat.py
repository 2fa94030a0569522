import pytest

from app.judges.prompt import build_prompt
from tests.judges.conftest import KEY, ask, judge_of
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.server import Provider

PROMPT = build_prompt(question_of(rubric_of()))


async def test_the_request_is_that_of_a_strict_schema(provider: Provider, lines):
    judge = judge_of(
        lines, provider.url("openai"), "alpha", params={"temperature": 0, "max_output_tokens": 300}
    )
    await ask(judge)
    request = provider.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {
        "model": "alpha",
        "temperature": 0,
        "max_completion_tokens": 300,
        "messages": [
            {"role": "system", "content": PROMPT.system},
            {"role": "user", "content": PROMPT.user},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict_pointwise", "strict": True, "schema": PROMPT.schema},
        },
    }


async def test_a_compatible_server_gets_the_older_name_of_the_token_limit(provider: Provider, lines):
    await ask(judge_of(lines, provider.url("openai"), "alpha", "openai-compatible"))
    body = provider.requests[0].body
    assert body["max_tokens"] == 2048
    assert "max_completion_tokens" not in body


async def test_a_server_without_keys_needs_none(provider: Provider, lines):
    reply = await ask(judge_of(lines, provider.url("openai"), "alpha", "openai-compatible", api_key=None))
    assert reply.unscored is None


async def test_a_server_that_takes_schemas_as_json_objects_gets_them_so(provider: Provider, lines):
    model = "alpha,schema=json_object"
    judge = judge_of(lines, provider.url("openai"), model, params={"schema": "json_object"})
    assert (await ask(judge)).unscored is None
    assert provider.requests[0].body["response_format"] == {"type": "json_object", "schema": PROMPT.schema}


@pytest.mark.parametrize("model", ["alpha,schema=none", "alpha,schema=ignored"])
async def test_a_server_without_schemas_is_asked_in_words_alone(provider: Provider, lines, model):
    reply = await ask(judge_of(lines, provider.url("openai"), model, params={"schema": "none"}))
    assert reply.unscored is None
    assert "response_format" not in provider.requests[0].body


async def test_a_server_that_ignores_the_schema_is_read_all_the_same(provider: Provider, lines):
    reply = await ask(judge_of(lines, provider.url("openai"), "alpha,schema=ignored"))
    assert reply.unscored is None


async def test_logprobs_become_the_mean_of_the_judges_own_distribution(provider: Provider, lines):
    judge = judge_of(lines, provider.url("openai"), "alpha,pick=middle", params={"top_logprobs": 5})
    (score,) = (await ask(judge)).scores
    assert (score.value, score.expected) == (3.0, pytest.approx(3.0))
    judge = judge_of(lines, provider.url("openai"), "alpha,pick=high", params={"top_logprobs": 5})
    (score,) = (await ask(judge)).scores
    assert (score.value, score.expected) == (5.0, pytest.approx(0.6 * 5 + 0.4 * 4))


async def test_without_logprobs_there_is_no_expected_score(provider: Provider, lines):
    for model in ("alpha", "alpha,logprobs=ignored"):
        top = {"top_logprobs": 5} if "ignored" in model else {}
        (score,) = (await ask(judge_of(lines, provider.url("openai"), model, params=top))).scores
        assert score.expected is None


async def test_a_filtered_answer_is_a_refusal_that_names_the_filter(provider: Provider, lines):
    reply = await ask(judge_of(lines, provider.url("openai"), "alpha!filter"))
    assert reply.unscored is not None
    assert reply.unscored.detail == "stopped by the provider's content filter"


async def test_the_environment_does_not_redirect_calls(provider: Provider, lines, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-elsewhere")
    assert (await ask(judge_of(lines, provider.url("openai"), "alpha"))).unscored is None
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
