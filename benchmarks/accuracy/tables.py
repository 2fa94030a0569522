"""Markdown of a set's results, and what they say of the figures that are asked for."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.study import TARGETS, Result
from benchmarks.accuracy.summary import (
    Line,
    compression,
    coverage_by_system,
    lines,
    mean_line,
    width_beside_human,
)

HEAD = """# Accuracy on recorded verdicts

Public sets whose every answer has human grades, so that the truth is known; the panel's scores are made
without any human grade, the anchors are drawn anew in every draw. Printed by

    python -m benchmarks.accuracy {options}

which says in its modules what each column is and how each set is drawn. Errors and widths are in points
of the criterion's own scale (pairs: win rates, 0 to 1), intervals at 95%.

- First table of a set: the system's mean grade by ours and by the best of three plain ways (human
  grades alone, raw panel, PPI++ per system). *worst system*: the lowest coverage among systems; with
  400 draws one system's coverage has a standard error of 1.1%, so the lowest of 66 (eleven systems, six
  criteria) lies about 2.7 points under the mean by chance. *width over human only*: of systems with ten
  anchors and more. *panel not used*: draws in which the judges were found not to follow people within
  systems. *slope of error on truth*: 0 leaves differences between systems as they are, -1 would remove
  them all.
- Then all methods for systems, strata, pairs of systems (differences) and items (single answers;
  coverage is that of single human grades): RMSE with the bias in brackets, coverage with that of the
  worst group, width with that of the widest group. Packages of others take part in the first draws
  only.

"""

METHODS = ("ours", "human", "raw", "best_judge", "ppi", "multi_ppi")
PLAIN = ("human", "raw", "ppi")  # the best of these is what ours is measured by


@dataclass(frozen=True, slots=True)
class Table:
    """All lines of one set, criteria averaged under ``mean`` where there are several."""

    name: str
    results: tuple[Result, ...]
    lines: tuple[Line, ...]

    @staticmethod
    def of(name: str, results: list[Result]) -> "Table":
        every = [line for result in results for line in lines(result)]
        if len(results) > 1:
            cells: dict[tuple[int, str, str], list[Line]] = defaultdict(list)
            for line in every:
                cells[line.anchors, line.target, line.method].append(line)
            every += [mean_line("mean", rows) for rows in cells.values()]
        return Table(name, tuple(results), tuple(every))

    @property
    def anchors(self) -> list[int]:
        return sorted({line.anchors for line in self.lines})

    def one(self, criterion: str, anchors: int, target: str, method: str) -> Line | None:
        key = (criterion, anchors, target, method)
        found = [x for x in self.lines if (x.criterion, x.anchors, x.target, x.method) == key]
        return found[0] if found else None

    @property
    def headline(self) -> str:
        """The criterion that stands for the set."""
        return "mean" if len(self.results) > 1 else self.results[0].data.criterion


def head(options: str) -> str:
    return HEAD.format(options=options)


def markdown(table: Table) -> str:
    """RMSE with bias, coverage with the worst group's, width with the widest group's."""
    methods = [m for m in METHODS if any(x.method == m for x in table.lines)]
    methods += sorted({x.method for x in table.lines} - set(methods))
    criteria = dict.fromkeys([result.data.criterion for result in table.results] + [table.headline])
    parts = []
    for title, cell in (("RMSE (bias)", _error), ("coverage (worst)", _coverage), ("width (widest)", _width)):
        rows = [
            (criterion, k, target, [cell(table.one(criterion, k, target, m)) for m in methods])
            for criterion in criteria
            for target in TARGETS
            for k in table.anchors
        ]
        rows = [row for row in rows if any(row[3])]
        head = (
            f"| {title} | anchors | | " + " | ".join(methods) + " |\n" + "|---" * (3 + len(methods)) + "|\n"
        )
        parts.append(head + "".join(f"| {c} | {k} | {t} | " + " | ".join(x) + " |\n" for c, k, t, x in rows))
    return "\n".join(parts)


def _error(line: Line | None) -> str:
    return "" if line is None or np.isnan(line.rmse) else f"{line.rmse:.4f} ({line.bias:+.4f})"


def _coverage(line: Line | None) -> str:
    if line is None or np.isnan(line.coverage):
        return ""
    worst = "" if np.isnan(line.worst_coverage) else f" ({line.worst_coverage:.3f})"
    answered = "" if line.answered > 0.999 else f", {line.answered:.0%} answered"
    return f"{line.coverage:.3f}{worst}{answered}"


def _width(line: Line | None) -> str:
    return "" if line is None or np.isnan(line.width) else f"{line.width:.3f} ({line.worst_width:.3f})"


def against_the_best(table: Table) -> str:
    """RMSE of ours over that of the best plain way, coverage and its worst system, by criterion."""
    rows = []
    for result in table.results:
        criterion = result.data.criterion
        for k in table.anchors:
            ours = table.one(criterion, k, "systems", "ours")
            plain = {m: table.one(criterion, k, "systems", m) for m in PLAIN}
            known = {m: x.rmse for m, x in plain.items() if x is not None and np.isfinite(x.rmse)}
            if ours is None or not known:
                continue
            best = min(known, key=lambda m: known[m])
            rows.append(
                f"| {criterion} | {k} | {best} | {known[best]:.4f} | {ours.rmse:.4f} "
                f"| {ours.rmse / known[best]:.2f} | {ours.coverage:.3f} | {ours.worst_coverage:.3f} "
                f"| {ours.answered:.2f} | {width_beside_human(result, k):.3f} "
                f"| {np.mean(result.useless.get(k, [])):.2f} | {compression(result, k):+.3f} |\n"
            )
    head = "| criterion | anchors | best plain way | its RMSE | ours | ratio | coverage | worst system "
    head += (
        "| answered | width over human only | panel not used | slope of error on truth |\n"
        + "|---" * 12
        + "|\n"
    )
    return head + "".join(rows)


def worst_over_criteria(table: Table) -> str:
    """Coverage of the worst system when its criteria are taken together."""
    found = [f"{k}: {coverage_by_system(list(table.results), k).min():.3f}" for k in table.anchors]
    return "Coverage of the worst system over all criteria together, by anchors: " + ", ".join(found) + "."
