"""What a large upload costs: checking a million rows by format, and storing them.

    python benchmarks/upload.py [--rows 1000000] [--store] [--formats csv,jsonl,csv.gz,parquet]

Checks run in a process of their own each, so that CPU seconds and peak memory are theirs alone (the
memory that the imports of modules take is printed beside). The target is 5 CPU seconds and 100 MB for a
million rows of CSV or JSONL. ``--store`` imports the CSV file into an empty SQLite database and prints
the progress that `GET /imports/{id}` would tell, with the memory held meanwhile.
"""

import argparse
import asyncio
import gzip
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.anchoring.mapping import Uploaded
from app.anchoring.upload import Upload, check
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale

RUBRIC = Rubric(
    "bench",
    RubricKind.POINTWISE,
    "Judge.",
    (Criterion("helpfulness", "Helps.", Scale(1, 5)),),
)
COLUMNS = (
    "item_id", "system", "criterion", "judge", "judge_family", "judge_params", "score", "draw", "len_words",
    "unscored", "graded_at", "stratum.language",
)  # fmt: skip


def peak_mb() -> float:
    """The most memory this process has held (what getrusage tells is inherited from the parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def made_rows(count: int) -> Iterator[tuple[object, ...]]:
    """Rows of 12 columns: 8 judges on each answer, 10 systems on each item, three languages."""
    rng = random.Random(1)
    for k in range(count):
        judge, item = k % 8, k // 80
        yield (
            f"item-{item:06d}",
            f"system-{k // 8 % 10}",
            "helpfulness",
            f"judge-{judge}",
            f"family-{judge % 4}",
            "temp=0.7",
            rng.randint(1, 5),
            1,
            rng.randint(10, 600),
            "",
            f"2026-11-{k % 28 + 1:02d}T10:{k % 60:02d}:00Z",
            ("en", "de", "fr")[item % 3],
        )


def write_files(folder: Path, count: int, formats: list[str]) -> dict[str, Path]:
    """One file per format with the same rows."""
    files = {name: folder / f"rows.{name}" for name in ["csv", *formats]}
    with files["csv"].open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for row in made_rows(count):
            file.write(",".join(map(str, row)) + "\n")
    if "jsonl" in files:
        with files["jsonl"].open("w") as file:
            for row in made_rows(count):
                file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
    if "csv.gz" in files:
        with files["csv"].open("rb") as plain, gzip.open(files["csv.gz"], "wb", 6) as packed:
            shutil.copyfileobj(plain, packed)
    if "parquet" in files:
        from pyarrow import csv, parquet

        parquet.write_table(csv.read_csv(files["csv"]), files["parquet"])
    return files


def check_one(path: str) -> None:
    """Check a file and print its row of the table; runs in a process of its own."""
    before = peak_mb()
    cpu, wall = time.process_time(), time.perf_counter()
    with open(path, "rb") as file:
        checked = check(Upload(file, Uploaded.VERDICTS, RUBRIC))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    size = Path(path).stat().st_size / 1e6
    print(
        f"| {Path(path).name.removeprefix('rows.')} | {checked.rows:,} | {size:.0f} | {cpu:.2f} |"
        f" {wall:.2f} | {peak_mb():.0f} | {before:.0f} |"
    )


async def store(path: Path, folder: Path) -> None:
    """Import the file into an empty SQLite database, and print how far it is now and then."""
    # Here, so that the checks' processes do not hold a database's modules too.
    from app.anchoring.imports import Imports, ImportStatus
    from app.storage.database import Database
    from app.storage.migrate import upgrade
    from app.storage.projects import get_or_create_project
    from app.storage.rubrics import put_rubric

    url = f"sqlite:///{folder / 'bench.db'}"
    await upgrade(url)
    async with Database(url) as db:
        now = datetime.now(UTC)
        project = await get_or_create_project(db, now=now)
        await put_rubric(db, project.id, RUBRIC, now=now)
        begun, cpu = time.perf_counter(), time.process_time()
        with path.open("rb") as file:
            running = await Imports(db).begin(project, file=file, rubric="bench")
            work = asyncio.ensure_future(running.run())
            while not work.done():
                await asyncio.wait([work], timeout=10)
                told = running.progress
                print(
                    f"{time.perf_counter() - begun:6.1f} s  {told.status:8}  read {told.rows_read or 0:>9,}"
                    f"  stored {told.rows_stored or 0:>9,}  peak {peak_mb():.0f} MB",
                    flush=True,
                )
        assert work.result().status is ImportStatus.DONE
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        rows = work.result().verdicts
        print(f"stored {rows:,} verdicts in {wall:.1f} s ({rows / wall:,.0f} rows/s), {cpu:.1f} CPU-s")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", default="csv,jsonl,csv.gz,parquet")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--check", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        check_one(options.check)
        return
    with tempfile.TemporaryDirectory() as name:
        files = write_files(Path(name), options.rows, options.formats.split(","))
        print("| format | rows | MB | CPU s | wall s | peak MB | of these at start |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for path in files.values():
            subprocess.run([sys.executable, __file__, "--check", str(path)], check=True)
        if options.store:
            asyncio.run(store(files["csv"], Path(name)))


if __name__ == "__main__":
    main()
