"""The local provider server, and judges that call it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from random import Random

import pytest

from app.domain.judging import Reply, Unscored
from app.judges.breaker import BreakerPolicy
from app.judges.call import CallingJudge
from app.judges.config import JudgeConfig
from app.judges.lines import Lines
from app.judges.retry import RetryPolicy
from app.judges.roster import PROVIDER_FACTORIES
from tests.judges.questions import question_of, rubric_of
from tests.provider_server.fixture import provider  # noqa: F401 - a fixture

CALLING = ("openai", "openai-responses", "anthropic")
KEY = "sk-proj-0123456789abcdefSECRET"


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    """Lines whose retries do not keep a test waiting."""
    made = Lines(retries=RetryPolicy(attempts=5, first_s=0.01, cap_s=0.05), rng=Random(1))
    yield made
    await made.close()


@pytest.fixture
async def quiet_lines() -> AsyncIterator[Lines]:
    """The same with a breaker that never opens."""
    made = Lines(
        retries=RetryPolicy(attempts=5, first_s=0.01, cap_s=0.05),
        rng=Random(1),
        breaker=BreakerPolicy(failures=1_000_000),
    )
    yield made
    await made.close()


def judge_of(
    lines: Lines, base_url: str, model: str, protocol: str = "openai", params: dict | None = None, **changes
) -> CallingJudge:
    """A judge at ``base_url``; prices of $1 and $10 per million tokens unless changed."""
    given = {"price_input_per_mtok": 1.0, "price_output_per_mtok": 10.0, "timeout_s": 10.0, "api_key": KEY}
    config = JudgeConfig(
        name=model,
        family="test",
        provider=protocol,
        model=model,
        base_url=base_url,
        params=json.dumps(params or {}, sort_keys=True),
        **{**given, **changes},
    )
    judge = PROVIDER_FACTORIES[protocol](config, lines)
    assert isinstance(judge, CallingJudge)
    return judge


def ask(judge: CallingJudge, *, within: float = 10.0, max_cost_usd: float | None = None) -> Awaitable[Reply]:
    """Put a plain pointwise question to a judge."""
    deadline = asyncio.get_running_loop().time() + within
    return judge.judge(question_of(rubric_of()), deadline=deadline, max_cost_usd=max_cost_usd)


def unscored_of(reply: Reply) -> Unscored:
    """Why a seat has no scores."""
    assert reply.scores == ()
    assert reply.unscored is not None
    return reply.unscored
