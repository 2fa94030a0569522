"""One file by the providers' batches through kills at random moments: what was sent twice, lost, doubled.

Run with ``python -m benchmarks.kill_provider_batches [--items 2000] [--kills 20] [--workers 2] [--seed 1]
[--database sqlite|URL of a PostgreSQL server]``. Judges are the real SDK adapters at the local provider
server, one per protocol, which are sent at most 100 requests at once and answer after five seconds. The reply
to each creation takes three seconds, so that many kills fall between a creation and its record. Workers are
killed (SIGKILL) at random moments and started again. Exit code 1 if a promise was not kept.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.kill_batches import fresh
from tests.batches.conftest import lines, send
from tests.batches.killing import DUPLICATES, SEATS
from tests.batches.running_worker import start_worker
from tests.endtoend.rosters import PRICE_INPUT, PRICE_OUTPUT, PROTOCOLS, judge, settings_for
from tests.endtoend.test_killed import read_rows
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, service_process

RULES = {"takes_ms": 5000.0, "replies_ms": 3000.0}
AT_ONCE = 100
PATIENCE_S = 3600


def run(given: argparse.Namespace, provider: str, folder: Path, database: str) -> dict[str, Any]:
    """Run it; what was found."""
    rng = random.Random(given.seed)
    roster = [judge(name, name, name, name, provider, batch_max_requests=AT_ONCE) for name in PROTOCOLS]
    settings = settings_for(folder, roster, VENIRE_DATABASE_URL=database, VENIRE_PROVIDER_POLL_S="1")
    httpx2.post(f"{provider}/control/batches", json=RULES)
    kills, between = 0, 0
    with service_process(settings) as service, httpx2.Client(base_url=service.url, timeout=120) as client:
        client.put("/rubrics/point", json=POINTWISE)
        batch = send(client, lines(given.items), mode="batch")
        workers = [start_worker(settings) for _ in range(given.workers)]
        begun, at = time.monotonic(), f"/batches/{batch['batch_id']}"
        try:
            state = client.get(at).json()
            while state["status"] == "running" and time.monotonic() - begun < PATIENCE_S:
                if kills < given.kills and client.get("/workers").json():
                    time.sleep(rng.uniform(0.2, 6.0))
                    victim = rng.randrange(len(workers))
                    workers[victim].kill()
                    kills += 1
                    known = client.get(at).json()["providers"]["batches"]
                    there = httpx2.get(f"{provider}/control/batches", timeout=60).json()["batches"]
                    between += len({one["id"] for one in there} - {one["provider_id"] for one in known})
                    workers[victim] = start_worker(settings)
                time.sleep(0.2)
                state = client.get(at).json()
            seconds = time.monotonic() - begun
        finally:
            for worker in workers:
                if worker.process.poll() is None:
                    worker.stop()
    return _look(state, provider, database) | {
        "kills": kills,
        "created but not known at a kill": between,
        "seconds": round(seconds, 1),
        "load": os.getloadavg()[0],
    }


def _look(state: dict[str, Any], provider: str, database: str) -> dict[str, Any]:
    at_provider = httpx2.get(f"{provider}/control/batches", timeout=60).json()
    calls = httpx2.get(f"{provider}/control").json()["calls"]
    seats, answered, graded = read_rows(database, SEATS)[0]
    billed = sum(
        0.5 * (one.get("input", 0) * PRICE_INPUT + one.get("output", 0) * PRICE_OUTPUT) / 1e6
        for one in at_provider["billed"].values()
    )
    return {
        "status": state["status"],
        "items": state["items"],
        "graded": graded,
        "seats": seats,
        "answered": answered,
        "verdicts twice": read_rows(database, DUPLICATES)[0][0],
        "batches intended": len(state["providers"]["batches"]),
        "batches created": at_provider["created"],
        "requests processed": sum(at_provider["processed"].values()),
        "calls": sum(calls.values()),
        "billed usd": round(billed, 6),
        "spent usd": round(state["budget"]["spent_usd"], 6),
        "suspect usd": state["budget"]["suspect_usd"],
        "held usd": state["budget"]["held_usd"],
    }


def broken(found: dict[str, Any]) -> list[str]:
    """What of the promises was not kept."""
    promises = {
        "the batch ends as done": found["status"] == "done",
        "every item is graded, every seat answered": found["graded"] == found["items"]
        and found["answered"] == found["seats"],
        "no verdict is there twice": found["verdicts twice"] == 0,
        "no batch is created twice": found["batches created"] == found["batches intended"],
        "no request is processed twice, none is called": found["requests processed"] == found["seats"]
        and found["calls"] == 0,
        "what is spent is what was billed": abs(found["billed usd"] - found["spent usd"]) < 1e-6,
        "nothing is suspect or held": found["suspect usd"] == found["held usd"] == 0,
    }
    return [promise for promise, kept in promises.items() if not kept]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_provider_batches", description=__doc__)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", default="sqlite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, provider_process(keep=10) as provider:
        database = f"sqlite:///{folder}/venire.db"
        if given.database != "sqlite":
            database = asyncio.run(fresh(given.database))
        found = run(given, provider, Path(folder), database)
    for name, value in found.items():
        print(f"{name:>32}  {value}")
    wrong = broken(found)
    print("every promise kept" if not wrong else "\n".join(["BROKEN:", *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
