"""One job through many crashes: what is on record afterwards beside what the provider counted.

`run` sends a batch to a service whose judges are the real SDK adapters on the local provider server, kills
(or stops, or freezes) its processes at random moments, starts them again, and waits for the end. Nothing in
it is simulated: processes, databases, HTTP and signals are real.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from tests.batches.conftest import lines, send
from tests.batches.running_worker import WorkerProcess, start_worker
from tests.endtoend.rosters import PRICE_INPUT, PRICE_OUTPUT, PROTOCOLS, judge, settings_for
from tests.endtoend.test_killed import read_rows
from tests.running_service import POINTWISE, ServiceProcess, service_process

SEATS = """
SELECT count(*), count(r.grade_id), count(DISTINCT s.grade_id) FROM seats s
LEFT JOIN replies r ON r.grade_id = s.grade_id AND r.position = s.position
"""
DUPLICATES = """
SELECT count(*) FROM (SELECT grade_id, position, criterion_id, answer_id FROM verdicts
GROUP BY grade_id, position, criterion_id, answer_id HAVING count(*) > 1) twice
"""


@dataclass(frozen=True)
class Job:
    """What is run. ``how`` is KILL, TERM or STOP; with ``service_too`` every fourth blow hits the service.

    A batch that runs out of ``budget_usd`` is topped up by as much, as often as it takes.
    """

    items: int
    blows: int
    workers: int = 1
    places: int = 32
    latency_ms: float = 50.0
    how: signal.Signals = signal.SIGKILL
    service_too: bool = True
    budget_usd: float | None = None
    seed: int = 20261127


@dataclass(frozen=True)
class Outcome:
    """What was found. ``repeated`` are calls that reached the provider and of which nothing is on record."""

    status: str
    blows: int
    items: int
    seats: int
    unanswered: int
    graded: int
    duplicates: int
    called: int
    recorded: int
    billed_usd: float
    spent_usd: float
    suspect_usd: float
    limit_usd: float | None
    on_record_usd: float
    seconds: float

    @property
    def repeated(self) -> int:
        return self.called - self.recorded

    def check(self, job: Job) -> list[str]:
        """What of the promises was not kept."""
        allowed = 0 if job.how is signal.SIGTERM else job.places * self.blows
        promises = {
            f"the batch ends as done, not {self.status}": self.status == "done",
            f"every item is graded: {self.graded} of {job.items}": self.graded == self.items == job.items,
            f"no seat is without a reply: {self.unanswered}": self.unanswered == 0,
            f"no verdict is there twice: {self.duplicates}": self.duplicates == 0,
            f"at most {allowed} calls are repeated: {self.repeated}": 0 <= self.repeated <= allowed,
            "the provider billed no more than spent and suspect": self.billed_usd
            <= self.spent_usd + self.suspect_usd + 1e-9,
            "what is spent is what replies cost": abs(self.spent_usd - self.on_record_usd) < 1e-9,
            "the budget is not exceeded": self.limit_usd is None
            or self.spent_usd + self.suspect_usd <= self.limit_usd + 1e-9,
        }
        return [promise for promise, kept in promises.items() if not kept]


def roster(provider: str, latency_ms: float) -> list[str]:
    """Two judges in each of three families, one family per protocol."""
    entries = []
    for protocol in PROTOCOLS:
        for number in (1, 2):
            name = f"{protocol}-{number}"
            behaviour = {"behaviour": {"latency": latency_ms}}
            httpx2.post(f"{provider}/control/model", json={"name": name, **behaviour})
            entries.append(judge(name, protocol, protocol, name, provider, max_concurrency=500))
    return entries


def run(job: Job, provider: str, folder: Path, database: str) -> Outcome:
    """Run the job; ``provider`` is the provider server's address, ``database`` an empty database's."""
    rng = Random(job.seed)
    settings = settings_for(
        folder,
        roster(provider, job.latency_ms),
        VENIRE_DATABASE_URL=database,
        VENIRE_WORKER_CALLS=str(job.places),
    )
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(_restartable(settings))
        httpx2.put(f"{service.url}/rubrics/point", json=POINTWISE)
        query: dict[str, Any] = {} if job.budget_usd is None else {"budget_usd": job.budget_usd}
        with httpx2.Client(base_url=service.url, timeout=120) as client:
            batch = send(client, lines(job.items), **query)
        workers = [start_worker(settings) for _ in range(job.workers)]
        stack.callback(lambda: [_end(worker) for worker in workers])
        begun = time.monotonic()
        blows = _strike(job, rng, service, workers, batch, settings)
        state = _wait(service, batch)
        while state["status"] == "out_of_budget" and job.budget_usd:
            body = {"top_up_usd": job.budget_usd}
            httpx2.post(f"{service.url}/batches/{batch['batch_id']}/resume", json=body)
            state = _wait(service, batch)
        seconds = time.monotonic() - begun
        for worker in workers:
            worker.stop()
    return _look(job, state, blows, provider, database, seconds)


def _strike(
    job: Job,
    rng: Random,
    service: "_Restartable",
    workers: list[WorkerProcess],
    batch: Mapping[str, Any],
    settings: Mapping[str, str],
) -> int:
    """Blows at random moments, spread over the job by how far it is; returns how many hit a worker."""
    marks = sorted(rng.uniform(0.02, 0.9) for _ in range(job.blows))
    hits = 0
    for number, mark in enumerate(marks):
        state = _wait(service, batch, until=int(mark * job.items))
        if state["status"] != "running":
            break  # out of its budget: what follows are no blows to a running job
        time.sleep(rng.uniform(0.0, 0.05))
        if job.service_too and number % 4 == 3:
            service.restart()
            continue
        victim = rng.randrange(len(workers))
        hits += 1
        if job.how is signal.SIGTERM:
            workers[victim].stop()
        elif job.how is signal.SIGKILL:
            workers[victim].kill()
        else:
            _freeze(workers[victim], service, batch)
            continue
        workers[victim] = start_worker(settings)
    return hits


def _freeze(worker: WorkerProcess, service: "_Restartable", batch: Mapping[str, Any]) -> None:
    """Freeze a worker until another has taken over, then wake it."""
    worker.process.send_signal(signal.SIGSTOP)
    before = _wait(service, batch, until=0)["counts"]
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pids = {one["pid"] for one in httpx2.get(f"{service.url}/workers").json()}
        state = _wait(service, batch, until=0)
        moved = state["counts"]["complete"] > before["complete"] or state["status"] != "running"
        if worker.process.pid not in pids and moved:
            break
        time.sleep(0.1)
    time.sleep(2.0)
    worker.process.send_signal(signal.SIGCONT)


def _wait(service: "_Restartable", batch: Mapping[str, Any], until: int | None = None) -> dict[str, Any]:
    """The batch once so many items are settled, or (None) once it stands still."""
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline:
        state: dict[str, Any] = httpx2.get(f"{service.url}/batches/{batch['batch_id']}", timeout=60).json()
        settled = state["items"] - state["counts"]["left"]
        budget = state["budget"]
        used = budget["spent_usd"] + budget["suspect_usd"] + budget["held_usd"]
        assert budget["limit_usd"] is None or used <= budget["limit_usd"] + 1e-9, budget
        if state["status"] != "running" or (until is not None and settled >= until):
            return state
        time.sleep(0.05)
    raise AssertionError("the batch does not come to an end")


def _look(
    job: Job, state: Mapping[str, Any], blows: int, provider: str, database: str, seconds: float
) -> Outcome:
    control = httpx2.get(f"{provider}/control").json()
    billed = sum(
        (count.get("input", 0) * PRICE_INPUT + count.get("output", 0) * PRICE_OUTPUT) / 1e6
        for count in control["billed"].values()
    )
    (seats, answered, graded) = read_rows(database, SEATS)[0]
    recorded, cost = read_rows(database, "SELECT sum(attempts), sum(cost_usd) FROM replies")[0]
    return Outcome(
        status=state["status"],
        blows=blows,
        items=read_rows(database, "SELECT count(*) FROM batch_items")[0][0],
        seats=seats,
        unanswered=seats - answered,
        graded=graded,
        duplicates=read_rows(database, DUPLICATES)[0][0],
        called=sum(control["calls"].values()),
        recorded=int(recorded),
        billed_usd=billed,
        spent_usd=state["budget"]["spent_usd"],
        suspect_usd=state["budget"]["suspect_usd"],
        limit_usd=state["budget"]["limit_usd"],
        on_record_usd=cost,
        seconds=seconds,
    )


def _end(worker: WorkerProcess) -> None:
    if worker.process.poll() is None:
        os.kill(worker.process.pid, signal.SIGCONT)
        worker.process.kill()
        worker.process.wait(10)


class _Restartable:
    """A service that is killed and started again."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings, self._stack = settings, contextlib.ExitStack()
        self._service: ServiceProcess | None = None

    @property
    def url(self) -> str:
        assert self._service is not None
        return self._service.url

    def __enter__(self) -> "_Restartable":
        self._service = self._stack.enter_context(service_process(self._settings))
        return self

    def restart(self) -> None:
        assert self._service is not None
        self._service.kill()
        self._stack.close()
        self._stack = contextlib.ExitStack()
        self._service = self._stack.enter_context(service_process(self._settings))

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _restartable(settings: Mapping[str, str]) -> _Restartable:
    return _Restartable(settings)
