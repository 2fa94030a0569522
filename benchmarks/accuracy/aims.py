"""What a printed page of accuracy reaches of what is asked for, cell by cell.

    python -m benchmarks.accuracy.aims docs/accuracy.md

reads the first table of every set (see `tables.against_the_best`) and prints one row per set, criterion and
number of anchors, with what falls short in its last column.
"""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_RATIO = 1.10  # RMSE of systems over that of the best plain way
COVERAGE = (0.93, 0.97)
LEAST_WORST = 0.88  # coverage of the worst system
MOST_WIDTH = 1.05  # over human grades alone, where judges are of no use
_SET = re.compile(r"^## (\S+)$")
_DRAWS = re.compile(r"(\d+) draws\.$")
_HEAD = "| criterion | anchors | best plain way |"


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a set's first table; NaN where it says so."""

    name: str
    draws: int
    criterion: str
    anchors: int
    best: str
    ratio: float
    coverage: float
    worst: float
    width: float
    slope: float

    def short_of(self) -> list[str]:
        """Which aims the cell misses."""
        low, high = COVERAGE
        said = []
        if self.ratio > MOST_RATIO:
            said.append(f"RMSE (at most {MOST_RATIO:.2f})")
        if self.coverage < low:
            said.append(f"coverage (at least {low:.2f})")
        if self.coverage > high:
            said.append(f"coverage (at most {high:.2f})")
        if self.worst < LEAST_WORST:
            said.append(f"worst system (at least {LEAST_WORST:.2f})")
        if self.width > MOST_WIDTH:
            said.append(f"width (at most {MOST_WIDTH:.2f})")
        return said


def cells(page: str) -> Iterator[Cell]:
    """The cells of a printed page."""
    name, draws, inside = "", 0, False
    for line in page.splitlines():
        if found := _SET.match(line):
            name = found.group(1)
        elif found := _DRAWS.search(line):
            draws = int(found.group(1))
        elif line.startswith(_HEAD):
            inside = True
        elif inside and not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            part = [one.strip() for one in line.strip("|").split("|")]
            yield Cell(
                name, draws, part[0], int(part[1]), part[2], float(part[5]), float(part[6]), float(part[7]),
                float(part[9]), float(part[11]),
            )  # fmt: skip


def checked(found: list[Cell]) -> str:
    """A markdown table of all cells, and how many fall short."""
    rows = [
        f"| {c.name} | {c.criterion} | {c.anchors} | {c.draws} | {c.ratio:.2f} ({c.best}) | {c.coverage:.3f} "
        f"| {c.worst:.3f} | {c.width:.2f} | {c.slope:+.3f} | {', '.join(c.short_of()) or 'met'} |"
        for c in found
    ]
    short = sum(bool(c.short_of()) for c in found)
    head = (
        "| set | criterion | anchors | draws | RMSE over the best plain way | coverage | worst system "
        "| width over human only | slope | aims |\n" + "|---" * 10 + "|"
    )
    return "\n".join([head, *rows, "", f"{len(found) - short} of {len(found)} cells meet every aim."])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.aims", description=__doc__)
    parser.add_argument("page", type=Path)
    print(checked(list(cells(parser.parse_args().page.read_text()))))


if __name__ == "__main__":
    main()
