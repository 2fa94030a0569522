"""One batch through twenty crashes: what was lost, repeated, doubled, and what it cost.

Run with ``python -m benchmarks.kill_batches [--items 6700] [--blows 20] [--how kill|term|stop] [--workers 2]
[--database sqlite|URL of a PostgreSQL server]``. 6,700 items make some 20,000 judge calls, through the SDKs
at the local provider server. Each row is one run: worker (and every fourth time the service) are killed,
stopped or frozen at random moments, and started again. Exit code 1 if a promise was not kept.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import asyncpg

from tests.batches.killing import Job, run
from tests.provider_server.fixture import provider_process

HOW = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
NAME = "venire_kill_benchmark"


async def fresh(server: str) -> str:
    """An empty database on a PostgreSQL server."""
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {NAME}")
    finally:
        await connection.close()
    return f"{server.rpartition('/')[0]}/{NAME}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_batches", description=__doc__)
    parser.add_argument("--items", type=int, default=6700)
    parser.add_argument("--blows", type=int, default=20)
    parser.add_argument("--how", choices=HOW, default="kill")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--places", type=int, default=64)
    parser.add_argument("--latency-ms", type=float, default=100.0)
    parser.add_argument("--budget-usd", type=float, default=None)
    parser.add_argument("--database", default="sqlite")
    given = parser.parse_args()
    job = Job(
        items=given.items,
        blows=given.blows,
        workers=given.workers,
        places=given.places,
        latency_ms=given.latency_ms,
        how=HOW[given.how],
        service_too=given.how == "kill",
        budget_usd=given.budget_usd,
    )
    with tempfile.TemporaryDirectory() as folder, provider_process() as provider:
        database = f"sqlite:///{folder}/venire.db"
        if given.database != "sqlite":
            database = asyncio.run(fresh(given.database))
        outcome = run(job, provider, Path(folder), database)
    for name, value in {**asdict(outcome), "repeated": outcome.repeated}.items():
        print(f"{name:>15}  {value}")
    broken = outcome.check(job)
    print("every promise kept" if not broken else "\n".join(["BROKEN:", *broken]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
