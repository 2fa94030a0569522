import pytest

from app.judges.prompt import build_prompt
from tests.judges.conftest import KEY, ask, judge_of
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.server import Provider

PROMPT = build_prompt(question_of(rubric_of()))


def judge(lines, provider: Provider, model: str = "alpha", **params):
    return judge_of(lines, provider.url("openai-responses"), model, "openai-responses", params=params)


async def test_the_request_is_that_of_a_strict_schema_and_stores_nothing(provider: Provider, lines):
    await ask(judge(lines, provider, reasoning={"effort": "low"}, text={"verbosity": "low"}))
    request = provider.requests[0]
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    form = {"type": "json_schema", "name": "verdict_pointwise", "strict": True, "schema": PROMPT.schema}
    assert request.body == {
        "model": "alpha",
        "store": False,
        "reasoning": {"effort": "low"},
        "max_output_tokens": 2048,
        "instructions": PROMPT.system,
        "input": [{"role": "user", "content": PROMPT.user}],
        "text": {"verbosity": "low", "format": form},
    }


async def test_logprobs_are_asked_for_and_read(provider: Provider, lines):
    (score,) = (await ask(judge(lines, provider, "alpha,pick=low", top_logprobs=5))).scores
    assert provider.requests[0].body["include"] == ["message.output_text.logprobs"]
    assert (score.value, score.expected) == (1.0, pytest.approx(0.6 * 1 + 0.4 * 2))


async def test_without_a_schema_the_words_alone_ask_for_json(provider: Provider, lines):
    reply = await ask(judge(lines, provider, "alpha,schema=none", schema="none"))
    assert reply.unscored is None
    assert "text" not in provider.requests[0].body


async def test_a_filtered_answer_is_a_refusal_that_names_the_filter(provider: Provider, lines):
    reply = await ask(judge(lines, provider, "alpha!filter"))
    assert reply.unscored is not None
    assert reply.unscored.detail == "stopped by the provider's content filter"


async def test_a_truncated_answer_says_how_long_it_was(provider: Provider, lines):
    reply = await ask(judge(lines, provider, "alpha!truncation"))
    assert reply.unscored is not None
    assert reply.unscored.detail.startswith("truncation: max_output_tokens, after")
