"""One batch through a storm: one call in five fails, the provider dies for a minute, the database restarts.

Run with ``python -m benchmarks.fault_storm [--items 4000] [--dead-s 60] [--away-s 10] [--database URL]``
(of a PostgreSQL server, or ``restarted``; by default a SQLite file). ``restarted`` is a PostgreSQL server of
this run's own, which is stopped at once, as by a crash, and started again. On a server that others use the
database refuses connections and loses those it has; a SQLite file is locked for that time. Exit code 1 if a
promise was not kept.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.kill_batches import fresh
from benchmarks.private_postgresql import private_server
from tests.batches.storm import Storm, run
from tests.provider_server.fixture import provider_process


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_storm", description=__doc__)
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--dead-s", type=float, default=60.0)
    parser.add_argument("--away-s", type=float, default=10.0)
    parser.add_argument("--database", default="sqlite")
    given = parser.parse_args()
    storm = Storm(items=given.items, dead_s=given.dead_s, away_s=given.away_s)
    with tempfile.TemporaryDirectory() as folder, provider_process() as provider:
        if given.database == "restarted":
            with private_server(Path(folder)) as server:
                database = asyncio.run(fresh(server.url))
                outcome = run(storm, provider, Path(folder), database, server.away)
        else:
            sqlite = f"sqlite:///{folder}/venire.db"
            database = sqlite if given.database == "sqlite" else asyncio.run(fresh(given.database))
            outcome = run(storm, provider, Path(folder), database)
    for name, value in asdict(outcome).items():
        print(f"{name:>12}  {value}")
    broken = outcome.check(storm)
    print("every promise kept" if not broken else "\n".join(["BROKEN:", *broken]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
