"""How storage behaves from 10,000 to 1,000,000 verdicts.

    python benchmarks/storage_growth.py [--sizes 10000 100000 1000000] [--url URL]

For each size a database is filled through the import of recorded verdicts (5 judges, 20 systems,
4 languages, 2,000 anchors), then the queries of a judge's report and of a quality table are timed
(medians of 7: wall clock, and CPU of this process), and the loading of all evidence with its peak
memory in a process of its own. At last the writer: grades (assignment, then three replies) by 64
clients at once and by one, beside a commit per request. SQLite in a temporary folder by default; an
empty PostgreSQL database by ``--url`` (its own CPU is not counted).
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from app.calibration.frame import Frame
from app.domain.anchors import HumanVerdict, Pairing, Provenance, RecordedVerdict
from app.domain.ids import new_id
from app.domain.items import Answer, Item
from app.domain.judging import Assignment, JudgeVersion, Reply, Score, Seat
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.storage import writer
from app.storage.anchors import add_anchor_version
from app.storage.assignments import record_assignment
from app.storage.calibrations import (
    claim_calibration,
    finish_calibration,
    get_frame,
    latest_calibration,
    queue_calibration,
)
from app.storage.database import Database
from app.storage.evidence import Evidence, load_evidence
from app.storage.grades import load_grade
from app.storage.health import judge_health
from app.storage.imports import open_import
from app.storage.migrate import upgrade
from app.storage.projects import get_or_create_project
from app.storage.rubrics import put_rubric
from app.storage.tallies import verdict_tallies
from app.storage.verdicts import record_replies

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
JUDGES, SYSTEMS, ANCHORS = 5, 20, 2_000
LANGUAGES = ("de", "en", "fr", "pt")
RUBRIC = Rubric(
    "helpfulness", RubricKind.POINTWISE, "Judge.", (Criterion("quality", "how good", Scale(1, 5)),)
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A wall-clock figure and, for times, the CPU milliseconds of this process."""

    wall: float
    cpu: float | None = None

    def __str__(self) -> str:
        return f"{self.wall:,.1f}" + ("" if self.cpu is None else f" ({self.cpu:,.1f})")


SAME = ["unit_id", "answer_id", "other_answer_id", "item", "prompt"]
SAME += ["system", "other_system", "length", "other_length"]
PER_UNIT = ["raw_mean", "panel_score", "reliability", "out_of_fold", "full_fit"]
PER_UNIT += ["latent_variance", "grade_variance", "human_inclusion"]


def recorded(size: int) -> Iterator[RecordedVerdict]:
    """Verdicts of every judge on every system's answer to as many items as it takes."""
    rng = Random(1)
    for item in range(size // (JUDGES * SYSTEMS)):
        strata = {"language": LANGUAGES[item % 4]}
        for system in range(SYSTEMS):
            words = rng.randrange(20, 400)
            about = Pairing(f"item {item}", f"system {system:02}", strata=strata, len_words=words)
            for judge in range(JUDGES):
                value = float(min(5, max(1, round(rng.gauss(3 + system / 20 + judge / 10, 1)))))
                yield RecordedVerdict(about, "quality", f"judge {judge}", f"family {judge % 3}", value)


def anchors(size: int) -> list[HumanVerdict]:
    """One grade each of three people on up to `ANCHORS` answers."""
    rng, items = Random(2), size // (JUDGES * SYSTEMS)
    units = rng.sample(range(items * SYSTEMS), min(ANCHORS, items * SYSTEMS // 2))
    return [
        HumanVerdict(
            Pairing(f"item {unit // SYSTEMS}", f"system {unit % SYSTEMS:02}"),
            "quality",
            float(rng.randint(1, 5)),
            Provenance(f"person {person}", "expert"),
        )
        for unit in units
        for person in range(3)
    ]


def frame_of(evidence: Evidence) -> bytes:
    """A frame as large as a calibration's over this evidence; what it says does not matter here."""
    n, rng = len(evidence.unit_id), np.random.default_rng(3)
    human = np.where(rng.random(n) < 0.01, rng.random(n), np.nan)
    return Frame(
        kind="pointwise",
        low=1.0,
        high=5.0,
        higher_is_better=True,
        simulated=False,
        systems=evidence.systems,
        system_families=evidence.system_families,
        stratum_values=evidence.stratum_values,
        judges=tuple(judge.name for judge in evidence.judges),
        judge_families=tuple(judge.family for judge in evidence.judges),
        annotator_variance=0.5,
        newest_verdict=evidence.newest_verdict,
        judge_version_ids=evidence.judge_version_ids,
        **{name: getattr(evidence, name) for name in SAME},
        **{name: rng.random(n) for name in PER_UNIT},
        cell_unit=evidence.v_unit,
        cell_judge=evidence.v_judge,
        cell_value=evidence.v_value,
        cell_draws=np.ones(len(evidence.v_unit), np.int32),
        fold=rng.integers(0, 5, n).astype(np.int32),
        extrapolates=np.zeros(n, bool),
        human_mean=human,
        n_human=np.where(np.isnan(human), 0, 3).astype(np.int32),
        strata=evidence.strata,
    ).to_bytes()


async def fill(db: Database, size: int) -> tuple[int, float]:
    """A project with that many verdicts and a calibration; returns its id and the import's seconds."""
    project = await get_or_create_project(db, now=NOW)
    rubric, _ = await put_rubric(db, project.id, RUBRIC, now=NOW)
    start = time.perf_counter()
    async with await open_import(db, project.id, rubric=rubric, sha256=str(size), now=NOW) as sink:
        batch: list[RecordedVerdict] = []
        for verdict in recorded(size):
            batch.append(verdict)
            if len(batch) == 1000:
                await sink.add(batch)
                batch = []
        await sink.add(batch)
        await sink.finish(now=NOW)
    took = time.perf_counter() - start
    people = anchors(size)
    await add_anchor_version(
        db, project.id, rubric=rubric, name="experts", verdicts=people, sha256="x", now=NOW
    )
    evidence = await load_evidence(db, project.id, RUBRIC.name, "quality")
    await queue_calibration(db, project.id, rubric=RUBRIC.name, criterion="quality", now=NOW)
    run = await claim_calibration(db, now=NOW)
    assert run is not None
    await finish_calibration(db, run.calibration.id, snapshot={}, model={}, frame=frame_of(evidence), now=NOW)
    await record_grades(db, project.id, rubric, grades=200, clients=50)  # what came after the calibration
    return project.id, took


async def record_grades(
    db: Database, project_id: int, rubric: RubricVersion, *, grades: int, clients: int
) -> tuple[float, float]:
    """Record grades of three seats each; returns (wall seconds, CPU seconds)."""
    rng = Random(time.time_ns())
    judges = [JudgeVersion(f"family {k}", f"live {k}", f"model {k}", prompt_version="1") for k in range(3)]
    seats = tuple(Seat(k, judge, (0,), 0.6) for k, judge in enumerate(judges))
    assignment = Assignment(7, seats, {judge.family: 1 for judge in judges})
    numbers = iter(range(grades))

    async def client() -> None:
        for _ in numbers:
            key = new_id(time.time_ns() // 1_000_000, rng)
            text = f"an answer of its own {key} " * 20
            item = Item(f"prompt {key}", (Answer("system 00", text),), strata={"language": "de"})
            assigned = await record_assignment(
                db,
                grade_id=key,
                project_id=project_id,
                rubric=rubric,
                item=item,
                assignment=assignment,
                now=NOW,
            )
            replies = [(seat, Reply((Score("quality", 0, 4.0),), latency_ms=1.0)) for seat in seats]
            await record_replies(db, assigned, replies, now=NOW)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - wall, time.process_time() - cpu


async def median_ms(work: Callable[[], Awaitable[object]]) -> Measured:
    """Medians of seven runs, in milliseconds."""
    wall, cpu = [], []
    for _ in range(7):
        start, spent = time.perf_counter(), time.process_time()
        await work()
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - spent))
    return Measured(statistics.median(wall), statistics.median(cpu))


async def queries(db: Database, project_id: int) -> dict[str, Measured]:
    """Times of what a judge's report and a quality table read."""
    rubric = RUBRIC.name
    calibration = await latest_calibration(db, project_id, rubric=rubric, criterion="quality")
    assert calibration is not None
    latest = calibration.id
    frame = Frame.from_bytes(await get_frame(db, project_id, latest) or b"")
    grade = await db.read(lambda c: c.exec_driver_sql("SELECT max(id) FROM grades").scalar_one())

    async def newer() -> object:
        return await load_evidence(db, project_id, rubric, "quality", after_verdict=frame.newest_verdict)

    async def stored_frame() -> object:
        return Frame.from_bytes(await get_frame(db, project_id, latest) or b"")

    return {
        "report: verdicts by judge, system, place, reason": await median_ms(
            lambda: verdict_tallies(db, project_id, rubric, "quality")
        ),
        "report: health of all judges": await median_ms(
            lambda: judge_health(db, project_id, since=NOW - timedelta(days=7))
        ),
        "quality: the stored frame, read and unpacked": await median_ms(stored_frame),
        "quality: what 600 verdicts since then say": await median_ms(newer),
        "one grade, whole": await median_ms(lambda: load_grade(db, project_id, grade)),
    }


def evidence_apart(url: str) -> dict[str, float]:
    """`load_evidence` in a process of its own: seconds, and MB that its memory grew by at the peak."""
    answer = subprocess.run(
        [sys.executable, __file__, "--load", url], check=True, capture_output=True, text=True
    )
    return dict(json.loads(answer.stdout))


def peak_mb() -> float:
    """The most memory this process has held, in MB (Linux; ``ru_maxrss`` would count its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


async def load(url: str) -> None:
    async with Database(url) as db:
        project = await get_or_create_project(db, now=NOW)
        before = peak_mb()
        start, spent = time.perf_counter(), time.process_time()
        evidence = await load_evidence(db, project.id, RUBRIC.name, "quality")
        took = time.perf_counter() - start
        cpu = time.process_time() - spent
        print(
            json.dumps({"s": took, "cpu_s": cpu, "mb": peak_mb() - before, "verdicts": len(evidence.v_unit)})
        )


async def throughput(url: str) -> None:
    """The group-commit writer beside a commit per request."""
    print("\n| writer | clients | grades/s | CPU ms/grade |\n|---|---|---|---|")
    for name, largest in (("group commit", 1000), ("one commit per request", 1)):
        writer._LARGEST_GROUP = largest
        async with Database(url) as db:
            project = await get_or_create_project(db, f"throughput {largest}", now=NOW)
            rubric, _ = await put_rubric(db, project.id, RUBRIC, now=NOW)
            for clients, grades in ((64, 4000), (1, 300)):
                wall, cpu = await record_grades(db, project.id, rubric, grades=grades, clients=clients)
                print(f"| {name} | {clients} | {grades / wall:,.0f} | {1000 * cpu / grades:.2f} |")


async def main(sizes: list[int], url: str | None) -> None:
    columns: list[dict[str, Measured]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            here = url or f"sqlite:///{folder}/growth-{size}.db"
            await upgrade(here)
            async with Database(here) as db:
                if url is not None:
                    await db.write(lambda c: c.exec_driver_sql(_EMPTY).close())
                project_id, took = await fill(db, size)
                column = {"import, verdicts/s": Measured(size / took)} | await queries(db, project_id)
            apart = evidence_apart(here)
            column["all evidence"] = Measured(1000 * apart["s"], 1000 * apart["cpu_s"])
            column["all evidence, peak MB"] = Measured(apart["mb"])
            columns.append(column)
        print("| wall ms (CPU ms), or as said | " + " | ".join(f"{size:,}" for size in sizes) + " |")
        print("|---" * (len(sizes) + 1) + "|")
        for name in columns[0]:
            print(f"| {name} | " + " | ".join(str(column[name]) for column in columns) + " |")
        await throughput(url or f"sqlite:///{folder}/growth-{sizes[0]}.db")


_EMPTY = """
DO $$ BEGIN
  EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') FROM pg_tables
           WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'processes'));
  INSERT INTO ledger (id, newest) VALUES (1, 0);
END $$
"""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--url", help="an empty database to use; it is emptied between sizes")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(load(options.load) if options.load else main(options.sizes, options.url))
