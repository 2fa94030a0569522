"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

import numpy as np

Cell = str | int | float


def table(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    lines += ["| " + " | ".join(shown(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def shown(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if np.isfinite(cell) else "-"
    return str(cell)
