"""How fast a quality table answers: frames of up to a million verdicts, first and later requests.

    python -m benchmarks.quality_speed [verdicts ...]

A frame stands for ``verdicts`` verdicts by three judges on a third as many answers of 20 systems, one in
fifty of them missing, with 1,000 anchors, a language of six and a domain of eight values. *first* reads the
frame from the database and arranges it (once per calibration and process), the others are what each request
costs afterwards, database included.
"""

import asyncio
import sys
import time
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from app.calibration.frame import Frame
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale
from app.reporting.comparisons import compare
from app.reporting.quality_report import Quality
from app.storage.calibrations import claim_calibration, finish_calibration, queue_calibration
from app.storage.database import Database
from app.storage.migrate import upgrade
from app.storage.projects import get_or_create_project
from app.storage.rubrics import put_rubric

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ASK: dict[str, Any] = {"rubric": "support", "criterion": "quality"}


def frame_of(verdicts: int, rng: np.random.Generator) -> Frame:
    """A frame with the shape of that many verdicts."""
    n, systems = verdicts // 3, 20
    prompt = np.arange(n, dtype=np.int32) // systems
    system = (np.arange(n) % systems).astype(np.int32)
    quality = np.clip(0.6 + 0.02 * system + 0.15 * rng.normal(size=n), 0, 1)
    score = np.clip(quality + 0.1 * rng.normal(size=n), 0, 1)
    graded = np.zeros(n, bool)
    graded[rng.choice(n, 1000, replace=False)] = True
    ids = np.arange(n, dtype=np.int64)
    unit, judge = np.repeat(np.arange(n, dtype=np.int32), 3), np.tile(np.arange(3, dtype=np.int32), n)
    there = rng.random(len(unit)) > 0.02
    given: dict[str, Any] = {
        "kind": "pointwise", "low": 1.0, "high": 5.0, "higher_is_better": True, "simulated": True,
        "systems": tuple(f"bot-{k}" for k in range(systems)), "system_families": (None,) * systems,
        "stratum_values": {"language": tuple("abcdef"), "domain": tuple("abcdefgh")},
        "judges": ("j", "k", "l"), "judge_families": ("j", "k", "l"), "annotator_variance": 0.01,
        "newest_verdict": verdicts, "judge_version_ids": np.arange(3), "unit_id": ids, "answer_id": ids,
        "other_answer_id": ids * 0 - 1, "item": prompt, "prompt": prompt, "system": system,
        "other_system": system * 0 - 1, "length": np.exp(5 + 0.5 * rng.normal(size=n)),
        "cell_unit": unit[there], "cell_judge": judge[there], "cell_value": score[unit[there]],
        "cell_draws": judge[there] * 0 + 1, "missing_unit": unit[~there], "missing_judge": judge[~there],
        "knows_missing": True,
        "reliability": np.full(n, 0.6), "human_mean": np.where(graded, np.round(4 * quality) / 4, np.nan),
        "n_human": graded.astype(np.int32), "fold": prompt % 5, "extrapolates": np.zeros(n, bool),
        "strata": {
            "language": (prompt % 6).astype(np.int32), "domain": rng.integers(0, 8, n).astype(np.int32)
        },
    }  # fmt: skip
    nothing = np.full(n, np.nan)
    given |= {"other_length": nothing, "human_inclusion": nothing}
    given |= {"text_unit": np.zeros(0, np.int32), "text_directions": np.zeros((0, 0))}
    needed = [entry.name for entry in fields(Frame) if entry.default_factory is MISSING]
    return Frame(**dict.fromkeys(needed, score) | given)


async def measure(verdicts: int, folder: Path) -> None:
    url = f"sqlite:///{folder / f'{verdicts}.db'}"
    await upgrade(url)
    raw = frame_of(verdicts, np.random.default_rng(1)).to_bytes()
    async with Database(url) as db:
        project = await get_or_create_project(db, now=NOW)
        criterion = Criterion("quality", "how good", Scale(1, 5))
        await put_rubric(
            db, project.id, Rubric("support", RubricKind.POINTWISE, "Judge.", (criterion,)), now=NOW
        )
        await queue_calibration(db, project.id, **ASK, now=NOW)
        run = await claim_calibration(db, now=NOW)
        assert run is not None
        await finish_calibration(
            db, run.calibration.id, snapshot={"rubric_version": 1}, model={}, frame=raw, refusals=(), now=NOW
        )
        quality = Quality(db)
        times = {"first": await _timed(lambda: quality.table(project.id, **ASK), 1)}
        for by in (
            ("system",),
            ("stratum.language",),
            ("system", "stratum.language"),
            ("system", "stratum.domain"),
        ):
            times[" x ".join(by)] = await _timed(lambda by=by: quality.table(project.id, **ASK, by=by), 5)
        pair = {"baseline": "bot-1", "candidate": "bot-2"}
        times["comparison"] = await _timed(lambda: compare(quality, project.id, **ASK, **pair), 5)
    shown = "  ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
    print(f"{verdicts:>9,} verdicts, frame {len(raw) / 1e6:.1f} MB: {shown}", flush=True)


async def _timed(ask: Any, times: int) -> float:
    """Median milliseconds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        found.append(1e3 * (time.perf_counter() - began))
    return float(np.median(found))


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000, 600_000, 1_000_000]
    with TemporaryDirectory() as folder:
        for verdicts in sizes:
            asyncio.run(measure(verdicts, Path(folder)))


if __name__ == "__main__":
    main()
