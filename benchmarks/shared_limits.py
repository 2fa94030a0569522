"""Five workers and a provider that enforces its limits: how many calls it turns away, how much of it is used.

    python -m benchmarks.shared_limits [--seconds 90] [--workers 5] [--requests 600] [--tokens 100000]

The provider (tests/provider_server, a process of its own) counts by a sliding minute, the strictest way. Each
worker has its own connections and its own way to one SQLite database, and always more calls waiting than it
may make. What is used is told for the scarcer of the two allowances, over all whole minutes of the run.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from random import Random

import httpx2

from app.domain.items import Answer
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.judges.config import JudgeConfig
from app.judges.judge import Question
from app.judges.lines import Lines
from app.judges.providers.openai_chat import openai_chat_judge
from app.judges.retry import RetryPolicy
from app.judges.turns import Lane
from app.storage.database import Database
from app.storage.migrate import upgrade
from app.storage.rates import SharedRates
from tests.provider_server.fixture import provider_process

_RUBRIC = Rubric("r", RubricKind.POINTWISE, "Judge.", (Criterion("help", "Does it help?", Scale(1, 5)),))
_IN_FLIGHT = 16


async def worker(url: str, database: str, config: JudgeConfig, seed: int, end: float, done: list) -> None:
    lines = Lines(retries=RetryPolicy(attempts=1), rng=Random(seed))
    judge = openai_chat_judge(config, lines)
    question = Question(
        _RUBRIC, "Say hello.", (Answer("s", "Hello."),), (0,), seed, lane=Lane(1, urgent=False)
    )
    async with Database(database) as db:
        lines.share(SharedRates(db))

        async def calls() -> None:
            while time.monotonic() < end:
                reply = await judge.judge(question, deadline=asyncio.get_running_loop().time() + 30.0)
                if reply.usage.attempts:
                    usage = reply.usage
                    tokens = usage.input_tokens + usage.output_tokens
                    done.append((time.monotonic(), tokens, reply.unscored))

        await asyncio.gather(*(calls() for _ in range(_IN_FLIGHT)))
    await lines.close()


async def run(given: argparse.Namespace) -> None:
    model = f"alpha,rpm={given.requests},tpm={given.tokens}"
    with provider_process() as url, tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'limits.db'}"
        await upgrade(database)
        config = JudgeConfig(
            name="alpha",
            family="test",
            provider="openai",
            model=model,
            base_url=f"{url}/v1",
            requests_per_minute=given.requests,
            tokens_per_minute=given.tokens,
        )
        done: list = []
        start, cpu = time.monotonic(), time.process_time()
        end = start + given.seconds
        await asyncio.gather(*(worker(url, database, config, n, end, done) for n in range(given.workers)))
        counted = httpx2.post(f"{url}/control").json()
    calls, turned_away = counted["calls"][model], counted["turned_away"][model]
    minutes = []
    for second in range(int(given.seconds) - 60):
        served = [t for at, t, _ in done if start + second <= at < start + second + 60]
        minutes.append((len(served), sum(served)))
    used = [max(n / given.requests, t / given.tokens) for n, t in minutes]
    said = {
        "workers": given.workers,
        "calls": calls,
        "turned_away": turned_away,
        "turned_away_percent": round(100 * turned_away / calls, 2),
        "whole_minutes": len(minutes),
        "used_percent_mean": round(100 * sum(used) / len(used), 1),
        "used_percent_least": round(100 * min(used), 1),
        "tokens_per_call": round(sum(t for _, t, _ in done) / len(done)),
        "cpu_s": round(time.process_time() - cpu, 1),
    }
    print(json.dumps(said, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90.0, help="at least 61")
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--tokens", type=int, default=100_000)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
