"""What a grade costs beside what its judges cost: POST /grade with three judges that answer at once.

Run with ``python -m benchmarks.grade [--requests 2000] [--at-once 32] [--rounds 3]``. The provider, the
service and the obvious build run in processes of their own. Per row: requests per second and core
(requests by CPU seconds of the serving process, so that a busy machine does not blur it), requests per
wall second, and the median and 95th percentile in milliseconds that one client waits when it is alone.
Since the provider takes no time, that wait is what the service adds.

The obvious build (`benchmarks/obvious_grade.py`) draws the same panel, calls the same three judges by
their SDKs' typed methods, and stores the same verdicts in one ORM session and commit per request.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, free_port

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
PROMPT = "How do I close my account? " * 10
TEXT = "You can close it in the app under settings. " * 20

ROSTER = """
[[judges]]
name = "one"
family = "first"
provider = "openai"
model = "alpha"
base_url = "{url}/v1"

[[judges]]
name = "two"
family = "second"
provider = "openai-responses"
model = "beta"
base_url = "{url}/v1"

[[judges]]
name = "three"
family = "third"
provider = "anthropic"
model = "gamma"
base_url = "{url}"
"""


@dataclass(frozen=True)
class Measured:
    per_core: float
    per_second: float
    p50_ms: float
    p95_ms: float


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str], url: str) -> Iterator[int]:
    """A server in its own process; its id, once it answers."""
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    try:
        asyncio.run(ready(url))
        yield running.pid
    finally:
        running.terminate()
        running.wait(60)


async def ready(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/healthz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.05)
    raise SystemExit(f"nothing answers at {url}")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def measure(url: str, pid: int, requests: int, at_once: int) -> Measured:
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector) as session:
        counter = iter(range(10**9))

        async def grade() -> float:
            number = next(counter)
            body = {
                "rubric": "helpfulness",
                "prompt": f"{PROMPT}{number}",
                "answers": [{"system": "bot", "family": "other", "text": TEXT}],
            }
            begun = time.perf_counter()
            async with session.post(f"{url}/grade", json=body) as response:
                answer = await response.json()
                if response.status != 200 or answer["status"] not in ("complete", "partial"):
                    raise SystemExit(f"not a complete grade: {response.status} {answer}")
            return time.perf_counter() - begun

        async def client(count: int) -> None:
            for _ in range(count):
                await grade()

        await client(50)
        alone = [1000 * await grade() for _ in range(300)]
        await asyncio.gather(*(client(5) for _ in range(at_once)))
        cpu, wall = cpu_seconds(pid), time.perf_counter()
        await asyncio.gather(*(client(requests // at_once) for _ in range(at_once)))
        done = requests // at_once * at_once
        cpu, wall = cpu_seconds(pid) - cpu, time.perf_counter() - wall
    quantiles = statistics.quantiles(alone, n=20)
    return Measured(done / cpu, done / wall, quantiles[9], quantiles[18])


@contextlib.contextmanager
def service(provider: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Venire, as ``venire serve`` runs it."""
    roster, port = folder / "judges.toml", free_port()
    roster.write_text(ROSTER.format(url=provider))
    environment = {
        "VENIRE_DATA_DIR": str(folder),
        "VENIRE_JUDGES": str(roster),
        "VENIRE_PORT": str(port),
        "VENIRE_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-c", "from app.bootstrap import command_line; command_line()", "serve"]
    url = f"http://127.0.0.1:{port}"
    with process(command, environment, url) as pid:
        asyncio.run(put_rubric(url))
        yield url, pid


async def put_rubric(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        rubric = {**POINTWISE, "instructions": "Judge as a customer of a bank would. " * 20}
        async with session.put(f"{url}/rubrics/helpfulness", json=rubric) as response:
            response.raise_for_status()


@contextlib.contextmanager
def obvious(provider: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The obvious build, under the same server."""
    port = free_port()
    environment = {"OBVIOUS_PROVIDER": provider, "OBVIOUS_DATABASE": str(folder / "obvious.db")}
    command = [sys.executable, "-m", "uvicorn", "benchmarks.obvious_grade:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "error"]
    url = f"http://127.0.0.1:{port}"
    with process(command, environment, url) as pid:
        yield url, pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{'':10} {'per core':>9} {'per s':>7} {'p50 ms':>7} {'p95 ms':>7}   load {os.getloadavg()[0]:.1f}")
    with provider_process() as provider, tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for name, build in (("venire", service), ("obvious", obvious)):
                with build(provider, Path(folder)) as (url, pid):
                    row = uvloop.run(measure(url, pid, given.requests, given.at_once))
                rates = f"{row.per_core:9.0f} {row.per_second:7.0f}"
                print(f"{name:10} {rates} {row.p50_ms:7.2f} {row.p95_ms:7.2f}", flush=True)


if __name__ == "__main__":
    main()
