"""What a batch does to those who wait for a grade: POST /grade alone, and while a worker grades a batch.

Run with ``python -m benchmarks.interactive [--seconds 20] [--rounds 3]``. One client asks for grades one
after the other from a service with three judges (the real SDK adapters) whose provider takes 50 ms; first
alone, then while a worker on the same machine and the same SQLite file grades a batch, as `scripts/run` sets
both up.
Printed: median and 99th percentile in milliseconds, and how many times larger they are with the batch.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.bulk import body
from benchmarks.grade import PROMPT, ROSTER, TEXT
from tests.batches.conftest import JSONL
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, service_process

LATENCY_MS = 50.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interactive", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name, provider_process() as provider:
        for model in ("alpha", "beta", "gamma"):
            slow = {"name": model, "behaviour": {"latency": LATENCY_MS}}
            httpx2.post(f"{provider}/control/model", json=slow)
        roster = Path(name) / "judges.toml"
        roster.write_text(
            ROSTER.format(url=provider).replace('family = "', 'max_concurrency = 500\nfamily = "')
        )
        settings = {"VENIRE_DATA_DIR": name, "VENIRE_JUDGES": str(roster), "VENIRE_WORKERS": "1"}
        with (
            service_process(settings) as service,
            httpx2.Client(base_url=service.url, timeout=600) as client,
        ):
            client.put("/rubrics/helpfulness", json=POINTWISE)
            ask(client, 5.0)
            for _ in range(given.rounds):
                alone = ask(client, given.seconds)
                batch = client.post("/batches", content=body(200_000), headers=JSONL).json()
                while not counts(client, batch)["complete"]:
                    time.sleep(0.2)
                before = counts(client, batch)
                beside = ask(client, given.seconds)
                done = counts(client, batch)["calls"] - before["calls"]
                client.delete(f"/batches/{batch['batch_id']}")
                time.sleep(3.0)
                show(alone, beside, done / given.seconds)


def counts(client: httpx2.Client, batch: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = client.get(f"/batches/{batch['batch_id']}").json()["counts"]
    return found


def ask(client: httpx2.Client, seconds: float) -> list[float]:
    """Milliseconds of every grade that one client gets in that time."""
    taken, until = [], time.perf_counter() + seconds
    answers = [{"system": "bot", "family": "other", "text": TEXT}]
    while time.perf_counter() < until:
        request = {"rubric": "helpfulness", "prompt": f"{PROMPT}{time.time_ns()}", "answers": answers}
        begun = time.perf_counter()
        client.post("/grade", json=request).raise_for_status()
        taken.append(1000 * (time.perf_counter() - begun))
    return taken


def show(alone: list[float], beside: list[float], rate: float) -> None:
    (p50, p99), (busy50, busy99) = (
        (statistics.median(times), statistics.quantiles(times, n=100)[98]) for times in (alone, beside)
    )
    print(
        f"alone p50 {p50:.1f} p99 {p99:.1f} ms (n={len(alone)}); with a batch p50 {busy50:.1f} "
        f"p99 {busy99:.1f} ms (n={len(beside)}): {busy99 / p99:.2f} times at the 99th percentile, "
        f"while the batch made {rate:.0f} calls a second",
        flush=True,
    )


if __name__ == "__main__":
    main()
