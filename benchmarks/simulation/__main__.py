"""Do the estimates hold? Simulated worlds of known truth, through the service's own path from verdicts on.

    python -m benchmarks.simulation [--worlds 2000] [--seed 1] [--only NAME ...] [--store FILE] [--write FILE]

Every 50 worlds are added to ``--store``; a study that was stopped goes on where it was. 2,000 worlds of all
kinds take about 70 CPU minutes.
"""

import argparse
import time
from pathlib import Path
from tempfile import gettempdir

from benchmarks.simulation.quality_cells import ANCHORS, WORLDS, chunk
from benchmarks.simulation.quality_tables import head, tables
from benchmarks.simulation.tally import Sums, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of worlds")
    parser.add_argument("--store", type=Path, help="partial sums; by default a file for this seed")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    store = options.store or Path(gettempdir()) / f"venire-simulation-{options.seed}.jsonl"
    begun = time.process_time()
    found: dict[str, Sums] = {}
    for world in WORLDS:
        if options.only and world.name not in options.only:
            continue

        def part(start: int, stop: int, world=world) -> Sums:  # type: ignore[no-untyped-def]
            return chunk(world, ANCHORS, options.seed, start, stop)

        found[world.name] = run(world.name, part, options.worlds, store)
    text = head(options.worlds, options.seed) + tables(found)
    print(text)
    print(f"{time.process_time() - begun:.0f} CPU seconds")
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
