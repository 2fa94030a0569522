"""Durable judge calls per second and core in bulk, beside a build with one job per call on the same engine.

Run with ``python -m benchmarks.bulk [--items 4000] [--obvious 1500] [--rounds 3]``. The judges are the real
SDK adapters (OpenAI chat, OpenAI responses, Anthropic) on the local provider server, which answers at once;
the database is a SQLite file with full durability. Per round and build: judge calls by CPU seconds of the
worker process (so that a busy machine does not blur it), from its first verdict to its last, and by wall
seconds.

The obvious build (`benchmarks/obvious_bulk.py`) enqueues one workflow per judge call on the same engine and
lets a step make the call by the SDK's typed method; its result is what the engine keeps.

``--memory 10000 1000000`` instead prints the most memory that worker and service took for so many items, and
the most rows that the engine's tables had, with simulated judges and one seat per item.
"""

import argparse
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.grade import PROMPT, ROOT, ROSTER, TEXT, cpu_seconds
from tests.batches.conftest import JSONL
from tests.batches.running_worker import worker_process
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, service_process


@dataclass(frozen=True)
class Measured:
    """Judge calls, and what they took."""

    calls: int
    cpu_s: float
    wall_s: float

    def line(self, name: str) -> str:
        return (
            f"{name:>14}  {self.calls:>7} calls  {self.calls / self.cpu_s:>7.0f} per core and second"
            f"  {self.calls / self.wall_s:>7.0f} per second"
        )


def venire(items: int) -> Measured:
    """A batch by one worker."""
    with tempfile.TemporaryDirectory() as name, provider_process() as provider:
        folder = Path(name)
        roster = folder / "judges.toml"
        roster.write_text(
            ROSTER.format(url=provider).replace('family = "', 'max_concurrency = 500\nfamily = "')
        )
        settings = {"VENIRE_DATA_DIR": name, "VENIRE_JUDGES": str(roster)}
        with (
            service_process(settings) as service,
            httpx2.Client(base_url=service.url, timeout=600) as client,
        ):
            client.put("/rubrics/helpfulness", json=POINTWISE)
            batch = client.post("/batches", content=body(items), headers=JSONL).json()
            with worker_process(settings) as worker:
                begun = settle(client, batch, 1)
                cpu, wall = cpu_seconds(worker.process.pid), time.perf_counter()
                ended = settle(client, batch, items)
                cpu, wall = cpu_seconds(worker.process.pid) - cpu, time.perf_counter() - wall
            return Measured(ended["counts"]["calls"] - begun["counts"]["calls"], cpu, wall)


def obvious(calls: int) -> Measured:
    """One workflow per call."""
    with tempfile.TemporaryDirectory() as folder, provider_process() as provider:
        command = [sys.executable, "-m", "benchmarks.obvious_bulk", provider, folder, str(calls)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return Measured(**json.loads(done.stdout))


def body(items: int) -> Iterator[bytes]:
    """Requests as they are sent."""
    for number in range(items):
        answer = {"system": "bot", "family": "other", "text": TEXT}
        request = {"rubric": "helpfulness", "prompt": f"{PROMPT}{number}", "answers": [answer]}
        yield json.dumps(request).encode() + b"\n"


def settle(client: httpx2.Client, batch: dict[str, Any], items: int) -> dict[str, Any]:
    """The batch once so many items are settled."""
    while True:
        found: dict[str, Any] = client.get(f"/batches/{batch['batch_id']}").json()
        if found["items"] - found["counts"]["left"] >= items:
            return found
        if found["status"] != "running":
            raise SystemExit(f"the batch stands still: {found}")
        time.sleep(0.25)


def memory(items: int) -> str:
    """What a batch of simulated judgements took of memory, time and the engine's tables."""
    with tempfile.TemporaryDirectory() as name:
        settings = {"VENIRE_DATA_DIR": name, "VENIRE_MAX_UPLOAD_MB": "100000"}
        with (
            service_process(settings) as service,
            httpx2.Client(base_url=service.url, timeout=36000) as client,
        ):
            client.put("/rubrics/helpfulness", json=POINTWISE)
            client.patch("/project", json={"panel": {"min_families": 1}})
            lines = (
                line.replace(b'{"rubric"', b'{"panel": {"families": 1}, "rubric"') for line in body(items)
            )
            cpu = cpu_seconds(service.process.pid)
            batch = client.post("/batches", content=lines, headers=JSONL).json()
            cpu = cpu_seconds(service.process.pid) - cpu
            with worker_process(settings) as worker, watching(Path(name)) as most:
                settle(client, batch, items)
                took = cpu_seconds(worker.process.pid)
                peak = peak_mb(worker.process.pid)
            return (
                f"{items:>9} items: worker {peak:.0f} MB and {took:.0f} CPU s, service "
                f"{peak_mb(service.process.pid):.0f} MB ({cpu:.1f} CPU s to check and store the file), "
                f"at most {most['rows']} rows in the engine's tables"
            )


def peak_mb(pid: int) -> float:
    """The most memory that a process had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[dict[str, int]]:
    """The most rows that the engine's tables have at any moment, looked at every second."""
    most, stop = {"rows": 0}, threading.Event()

    def look() -> None:
        while not stop.wait(1.0):
            with contextlib.suppress(sqlite3.OperationalError):
                most["rows"] = max(most["rows"], engine_rows(folder / "venire-jobs.db"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def engine_rows(file: Path) -> int:
    """Rows in all tables of the engine's file."""
    if not file.exists():
        return 0
    with contextlib.closing(sqlite3.connect(file, timeout=5)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        counts = [connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names]  # noqa: S608
        return sum(counts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--obvious", type=int, default=1500, help="calls of the obvious build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="+", metavar="ITEMS")
    given = parser.parse_args()
    if given.memory:
        for items in given.memory:
            print(memory(items), flush=True)
        return
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    for _ in range(given.rounds):
        ours, theirs = venire(given.items), obvious(given.obvious)
        print(ours.line("Venire"))
        print(theirs.line("job per call"))
        print(f"{(ours.calls / ours.cpu_s) / (theirs.calls / theirs.cpu_s):>14.1f} times", flush=True)


if __name__ == "__main__":
    main()
