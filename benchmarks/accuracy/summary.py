"""From draws to the numbers of the tables, all in points of the criterion's own scale (pairs: win rates)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.panel import Floats
from benchmarks.accuracy.study import Kept, Result, truths

ENOUGH_ANCHORS = 10  # of a system's own, from which widths are compared with those of human grades alone
LEAST_ANSWERS = 20  # draws in which a group was answered, below which its own coverage says nothing


@dataclass(frozen=True, slots=True)
class Line:
    """One criterion, number of anchors, target and method.

    ``bias`` is the mean error, ``coverage`` and ``width`` means over draws and groups; ``worst_coverage``
    and ``worst_width`` those of the worst group. ``answered``: share of draws and groups with an interval
    (for raw panels: with an estimate). NaN where there is nothing to say.
    """

    criterion: str
    anchors: int
    target: str
    method: str
    rmse: float
    bias: float
    coverage: float
    worst_coverage: float
    width: float
    worst_width: float
    answered: float


def lines(result: Result) -> list[Line]:
    data = result.data
    return [
        _line(kept, data.criterion, anchors, target, method, data.width)
        for (anchors, target, method), kept in result.kept.items()
        if target == "items" or result.groups[target]
    ]


def _line(kept: Kept, criterion: str, anchors: int, target: str, method: str, width: float) -> Line:
    error, covered, wide = (_stack(part) for part in (kept.error, kept.covered, kept.width))
    intervals = np.isfinite(covered)
    by_group = np.array([_mean(column) for column in covered.T if np.isfinite(column).sum() >= LEAST_ANSWERS])
    known = np.isfinite(error) if target == "items" or not intervals.any() else intervals
    groups = max(int(np.isfinite(error).any(0).sum()), 1)
    return Line(
        criterion=criterion, anchors=anchors, target=target, method=method,
        rmse=width * float(np.sqrt(_mean(error**2))), bias=width * _mean(error),
        coverage=_mean(covered), worst_coverage=float(by_group.min()) if by_group.size else np.nan,
        width=width * _mean(wide),
        worst_width=width * max((_mean(c) for c in wide.T if np.isfinite(c).any()), default=np.nan),
        answered=float(known.sum() / (len(error) * groups)),
    )  # fmt: skip


def width_beside_human(result: Result, anchors: int) -> float:
    """Mean width of ours over that of human grades alone, on systems with enough anchors; NaN without any."""
    enough = np.array(result.anchors_in[anchors]) >= ENOUGH_ANCHORS
    ours, human = (_stack(result.kept[anchors, "systems", m].width) for m in ("ours", "human"))
    both = enough & np.isfinite(ours) & np.isfinite(human)
    return float(ours[both].mean() / human[both].mean()) if both.any() else np.nan


def compression(result: Result, anchors: int) -> float:
    """Slope of the error of ours on the truth over systems: -1 would remove all differences, 0 keeps them."""
    truth = truths(result.data)["systems"]
    if np.isfinite(truth).sum() < 3:
        return np.nan
    slopes = []
    for error in result.kept[anchors, "systems", "ours"].error:
        known = np.isfinite(error) & np.isfinite(truth)
        if known.sum() > 2:
            slopes.append(np.polyfit(truth[known], error[known], 1)[0])
    return _mean(np.array(slopes))


def mean_line(criterion: str, many: Iterable[Line]) -> Line:
    """Criteria of one set averaged (coverage and width of the worst group: the worst of all)."""
    rows = list(many)

    def mean(name: str) -> float:
        return _mean(np.array([getattr(row, name) for row in rows]))

    worst = [row.worst_coverage for row in rows if np.isfinite(row.worst_coverage)]
    widest = [row.worst_width for row in rows if np.isfinite(row.worst_width)]
    first = rows[0]
    return Line(
        criterion, first.anchors, first.target, first.method, mean("rmse"), mean("bias"), mean("coverage"),
        min(worst, default=np.nan), mean("width"), max(widest, default=np.nan), mean("answered"),
    )  # fmt: skip


def coverage_by_system(results: list[Result], anchors: int) -> Floats:
    """(S,) coverage of ours over draws and criteria, of criteria that share their systems."""
    covered = [_stack(one.kept[anchors, "systems", "ours"].covered) for one in results]
    together = np.concatenate([c for c in covered if c.shape[1] == covered[0].shape[1]])
    return np.array([_mean(column) for column in together.T])


def _stack(rows: list[Floats]) -> Floats:
    return np.array(rows) if rows else np.full((1, 1), np.nan)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
