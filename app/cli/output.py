"""What commands say: results on stdout, for people or as JSON; progress and errors on stderr."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, TextIO

_EVERY_S = 5.0  # between lines of progress, where it is not a terminal that shows it
_REDRAW_S = 0.1


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people. ``numbers`` are columns set flush right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


class Output:
    """Where a command says what it found. With ``as_json`` only documents go to stdout."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, value: Any) -> None:
        """The result, for programs; nothing unless they asked."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def say(self, *lines: str) -> None:
        """Lines for people."""
        if not self.as_json:
            sys.stdout.write("".join(f"{line}\n" for line in lines))

    def table(self, table: Table) -> None:
        """A table for people: drawn on a terminal, else plain columns that nothing cuts off."""
        if self.as_json:
            return
        if sys.stdout.isatty():
            _draw(table)
        else:
            sys.stdout.write(plain(table))

    def note(self, *lines: str) -> None:
        """Something to know that is not the result; on stderr."""
        sys.stderr.write("".join(f"{line}\n" for line in lines))


class Progress:
    """One line on stderr that is drawn over again on a terminal, and now and then said anew elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._said, self._width = monotonic(), 0

    def show(self, line: str, *, last: bool = False) -> None:
        """Show how far it is; the ``last`` line is always shown and stays."""
        now = monotonic()
        if not last and now - self._said < (_REDRAW_S if self._live else _EVERY_S):
            return
        self._said = now
        if self._live:
            self._stream.write("\r" + line.ljust(self._width) + ("\n" if last else ""))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def plain(table: Table) -> str:
    """The table as text, in columns two blanks apart."""
    cells = [list(table.columns), *(list(row) for row in table.rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(table.columns))]
    lines = [table.title] if table.title else []
    for row in cells:
        placed = (
            cell.rjust(width) if k in table.numbers else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(placed).rstrip())
    return "\n".join(lines) + "\n"


def _draw(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    drawn = Drawn(title=table.title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for k, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if k in table.numbers else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))  # as text: a name in brackets is no markup
    Console(highlight=False).print(drawn)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(ends: Sequence[float] | None, digits: int = 2) -> str:
    """An interval for a table; a dash where there is none."""
    return "–" if ends is None else f"[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def money(dollars: float) -> str:
    """An amount in US dollars, to the tenth of a cent where it is small."""
    return f"${dollars:,.2f}" if dollars >= 1 else f"${dollars:.4f}"


def span(seconds: float) -> str:
    """A duration in words short enough for a line of progress."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def simulated_note(simulated: bool) -> tuple[str, ...]:
    """The line that stands over everything simulated."""
    return ("SIMULATED: these verdicts come from simulated judges and measure nothing.",) if simulated else ()
