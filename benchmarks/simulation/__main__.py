"""Do the estimates hold? Simulated worlds of known truth, through the service's own path from verdicts on.

    python -m benchmarks.simulation [--worlds 2000] [--seed 1] [--only NAME ...] [--store FILE] [--write FILE]
                                    [--tables] [--compact]

Every 50 worlds are added to ``--store``; a study that was stopped goes on where it was. ``--tables`` prints
what is there and computes nothing; ``--compact`` makes one line of a cell's chunks first. ``--only`` takes
names of studies (systems, means, items, bias, refusals) or worlds. Sums that took hours are kept beside the
code (``sums-seed-1.jsonl``) as long as the estimators stay as they are: take out the lines of a changed
study.
"""

import argparse
import time
from functools import partial
from pathlib import Path

from benchmarks.simulation.studies import CELLS, page
from benchmarks.simulation.tally import compact, run, worlds_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of studies or worlds")
    parser.add_argument("--store", type=Path, help="partial sums; by default those kept for this seed")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--tables", action="store_true", help="compute nothing, print what the store has")
    parser.add_argument("--compact", action="store_true", help="one line of the store for a cell's chunks")
    options = parser.parse_args()
    store = options.store or Path(__file__).with_name(f"sums-seed-{options.seed}.jsonl")
    if options.compact:
        compact(store)
    begun = time.process_time()
    found = {
        cell: run(cell.key, partial(cell.chunk, options.seed), options.worlds, store, more=not options.tables)
        for cell in CELLS
        if not options.only or cell.name in options.only or cell.study in options.only
    }
    fewer = any(worlds_of(sums) < options.worlds for sums in found.values())
    text = page(found, options.worlds, options.seed, fewer)
    print(text)
    print(f"{time.process_time() - begun:.0f} CPU seconds")
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
