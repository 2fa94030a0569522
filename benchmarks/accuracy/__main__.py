"""Accuracy on recorded verdicts: ours beside the plain ways and other packages, on the same draws.

    python -m benchmarks.accuracy [--data FOLDER] [--sets hanna llmbar] [--draws N] [--write PAGE]

FOLDER is a set in the format of ../shared/data (see `recorded`), or holds several. Every set with human
grades is drawn as `protocols` says: for each number of anchors, many times. Other packages: see `peers`.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.accuracy.one_stratum import one_stratum_table
from benchmarks.accuracy.peers import installed
from benchmarks.accuracy.protocols import PROTOCOLS, Protocol
from benchmarks.accuracy.recorded import NoHumanGrades
from benchmarks.accuracy.study import study
from benchmarks.accuracy.tables import Table, against_the_best, head, markdown, worst_over_criteria

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data"


def folders(data: Path, names: list[str]) -> list[Path]:
    """The sets to be read, in the order of their names.

    Raises
    ------
    SystemExit
        If there is none, or a name is unknown.
    """
    found = (
        [data] if (data / "human.csv.gz").exists() else sorted(p.parent for p in data.glob("*/human.csv.gz"))
    )
    wanted = [folder for folder in found if not names or folder.name in names]
    unknown = set(names) - {folder.name for folder in found}
    if unknown or not wanted:
        there = ", ".join(folder.name for folder in found) or "none"
        raise SystemExit(f"no set {', '.join(sorted(unknown)) or 'at all'} in {data}; sets there: {there}")
    return wanted


def run(folder: Path, options: argparse.Namespace, peers: dict) -> str:
    """One set's section of the page."""
    protocol = PROTOCOLS.get(folder.name, Protocol())
    if options.seed is not None:
        protocol = replace(protocol, seed=options.seed)
    began = time.process_time()
    try:
        sets = protocol.load(folder)
    except NoHumanGrades as error:
        return f"## {folder.name}\n\nRefused: {error}.\n"
    results = [
        study(
            data, protocol, draws=options.draws, peer_draws=min(options.peer_draws, options.draws),
            item_draws=min(options.item_draws, options.draws), peers=peers,
        )
        for name, data in sets.items()
        if not options.criteria or name in options.criteria
    ]  # fmt: skip
    table = Table.of(folder.name, results)
    print(f"{folder.name}: {time.process_time() - began:.0f} CPU seconds", file=sys.stderr, flush=True)
    data = results[0].data
    kind = "pairs" if data.pairwise else "answers"
    said = (
        f"{data.units} {kind}, {len(data.systems)} systems, {len(data.judges)} judges, {options.draws} draws."
    )
    parts = [f"## {folder.name}\n\n{said}", against_the_best(table), worst_over_criteria(table)]
    if protocol.lonely_stratum is not None and options.flag_draws:
        parts.append(
            one_stratum_table(
                data, protocol.lonely_stratum, protocol.resample, min(options.flag_draws, options.draws)
            )
        )
    return "\n\n".join([*parts, markdown(table)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=RECORDED)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--criteria", nargs="*", default=[])
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--peer-draws", type=int, default=60, help="packages of others, which are slow")
    parser.add_argument("--item-draws", type=int, default=10, help="draws in which single answers are scored")
    parser.add_argument("--flag-draws", type=int, default=400, help="of anchors from one stratum (llmbar)")
    parser.add_argument("--seed", type=int, help="other draws than the set's own")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    peers, missing = installed() if options.peer_draws else ({}, [])
    for line in missing:
        print(line, file=sys.stderr)
    sections = []
    for folder in folders(options.data, options.sets):
        sections.append(run(folder, options, peers))
        print(sections[-1], flush=True)
    if options.write:
        options.write.write_text(head(" ".join(sys.argv[1:])) + "\n".join(sections))


if __name__ == "__main__":
    main()
