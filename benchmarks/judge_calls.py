"""What one judge call costs in processor time, by the way it is made.

Run with ``python -m benchmarks.judge_calls [--calls 3000] [--at-once 16]``. The provider answers at once
from a process of its own, so that only our side is counted: CPU milliseconds of this process per call.
The rows:

* typed: the SDK's ``create`` with its defaults, as its documentation shows it (httpx2 transport);
* typed, aiohttp: the same on the SDK's aiohttp transport;
* low-level: the SDK's ``post`` with the raw response, on the aiohttp transport: what a judge sends;
* judge: a whole judge, with prompt, limits, breaker, retries and the strict reading of the reply.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import anthropic
import httpx2
import openai
import orjson
import uvloop

from app.domain.items import Answer
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.judges.config import JudgeConfig
from app.judges.connections import LIMITS, TIMEOUT
from app.judges.judge import Question
from app.judges.lines import Lines
from app.judges.prompt import build_prompt
from app.judges.roster import build_roster
from tests.provider_server.fixture import provider_process

QUESTION = Question(
    rubric=Rubric(
        "helpfulness",
        RubricKind.POINTWISE,
        "Judge as a customer of a bank would. " * 20,
        (Criterion("helpfulness", "Does it solve the problem?", Scale(1, 5)),),
    ),
    prompt="How do I close my account? " * 10,
    answers=(Answer("bot", "You can close it in the app under settings. " * 20),),
    order=(0,),
    seed=1,
)
PROMPT = build_prompt(QUESTION)
MESSAGES = [{"role": "system", "content": PROMPT.system}, {"role": "user", "content": PROMPT.user}]
FORM = {"name": PROMPT.schema_name, "strict": True, "schema": PROMPT.schema}
Call = Callable[[], Awaitable[object]]


async def measure(call: Call, calls: int, at_once: int) -> tuple[float, float]:
    """CPU milliseconds and wall milliseconds per call."""
    for _ in range(50):
        await call()

    async def worker() -> None:
        for _ in range(calls // at_once):
            await call()

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    made = calls // at_once * at_once
    return 1000 * (time.process_time() - cpu) / made, 1000 * (time.perf_counter() - wall) / made


def openai_calls(url: str) -> tuple[dict[str, Call], list[openai.AsyncOpenAI]]:
    """The two protocols of OpenAI's SDK."""
    plain = openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1")
    http = openai.DefaultAioHttpClient(limits=LIMITS, timeout=TIMEOUT)
    fast = openai.AsyncOpenAI(
        api_key="k", base_url=f"{url}/v1", max_retries=0, timeout=TIMEOUT, http_client=http
    )
    chat = {
        "model": "alpha",
        "messages": MESSAGES,
        "response_format": {"type": "json_schema", "json_schema": FORM},
    }
    answer = {
        "model": "alpha",
        "instructions": PROMPT.system,
        "input": MESSAGES[1:],
        "text": {"format": {"type": "json_schema", **FORM}},
    }

    async def low(path: str, body: dict[str, object]) -> object:
        reply = await fast.post(path, cast_to=httpx2.Response, content=orjson.dumps(body))
        return orjson.loads(reply.content)

    calls: dict[str, Call] = {
        "openai chat: typed": lambda: plain.chat.completions.create(**chat),
        "openai chat: typed, aiohttp": lambda: fast.chat.completions.create(**chat),
        "openai chat: low-level": lambda: low("/chat/completions", chat),
        "openai responses: typed": lambda: plain.responses.create(**answer),
        "openai responses: low-level": lambda: low("/responses", answer),
    }
    return calls, [plain, fast]


def anthropic_calls(url: str) -> tuple[dict[str, Call], list[anthropic.AsyncAnthropic]]:
    """Anthropic's messages."""
    plain = anthropic.AsyncAnthropic(api_key="k", base_url=url)
    http = anthropic.DefaultAioHttpClient(limits=LIMITS, timeout=TIMEOUT)
    fast = anthropic.AsyncAnthropic(
        api_key="k", base_url=url, max_retries=0, timeout=TIMEOUT, http_client=http
    )
    body = {
        "model": "alpha",
        "max_tokens": 2048,
        "system": PROMPT.system,
        "messages": MESSAGES[1:],
        "output_config": {"format": {"type": "json_schema", "schema": PROMPT.schema}},
    }

    async def low() -> object:
        reply = await fast.post("/v1/messages", cast_to=httpx2.Response, content=orjson.dumps(body))
        return orjson.loads(reply.content)

    calls: dict[str, Call] = {
        "anthropic: typed": lambda: plain.messages.create(**body),
        "anthropic: typed, aiohttp": lambda: fast.messages.create(**body),
        "anthropic: low-level": low,
    }
    return calls, [plain, fast]


def judge_calls(url: str, lines: Lines) -> dict[str, Call]:
    """Whole judges of every provider that calls a model, and one with log-probabilities."""
    kinds = [("openai", {}), ("openai", {"top_logprobs": 20}), ("openai-responses", {}), ("anthropic", {})]
    configs = [
        JudgeConfig(
            name=f"{provider}{params or ''}",
            family=provider,
            provider=provider,
            model="alpha",
            base_url=url if provider == "anthropic" else f"{url}/v1",
            api_key="k",
            params=json.dumps(params),
            requests_per_minute=1e9,
            tokens_per_minute=1e12,
        )
        for provider, params in kinds
    ]

    def call(index: int) -> Call:
        judge = build_roster(configs, lines=lines).judges()[index]
        return lambda: judge.judge(QUESTION, deadline=asyncio.get_running_loop().time() + 60)

    return {f"judge: {config.name}": call(index) for index, config in enumerate(configs)}


async def main(url: str, calls: int, at_once: int) -> None:
    """Measure every way and print a table."""
    lines = Lines()
    first, openai_clients = openai_calls(url)
    second, anthropic_clients = anthropic_calls(url)
    print(f"{'way':<44}{'CPU ms':>8}{'wall ms':>9}   ({calls} calls, {at_once} at once)")
    for name, call in (first | second | judge_calls(url, lines)).items():
        cpu, wall = await measure(call, calls, at_once)
        print(f"{name:<44}{cpu:>8.3f}{wall:>9.3f}")
    for client in (*openai_clients, *anthropic_clients, lines):
        await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--at-once", type=int, default=16)
    given = parser.parse_args()
    with provider_process() as address:
        uvloop.run(main(address, given.calls, given.at_once))
