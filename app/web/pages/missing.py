"""The part of the quality page on missing verdicts: by row and by judge."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.reporting.quality_report import QualityTable
from app.reporting.quality_rows import QualityRow
from app.reporting.unscored import RelatedToQuality, Unscored
from app.web.pages.words import count, interval, number, p_value, percent


@dataclass(frozen=True, slots=True)
class MissingLine:
    """One row or judge; ``within`` and ``worst`` are ranges of the raw mean, ``corrected_within`` and
    ``corrected_worst`` of the intervals of the corrected value; all empty for judges."""

    name: str
    rate: str
    interval: str
    n: str
    others: str
    within: str
    worst: str
    corrected_within: str
    corrected_worst: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Both tables; ``rows`` are those with missing verdicts, the most first."""

    rows: tuple[MissingLine, ...]
    judges: tuple[MissingLine, ...]


def missing_of(table: QualityTable, rows: Sequence[tuple[str, QualityRow]], digits: int) -> Missing | None:
    """What is missing in these named ``rows`` and of the table's judges; None where nothing is."""
    silent = [(name, row.unscored) for name, row in rows if row.unscored is not None and row.unscored.missing]
    judges = [judge for judge in table.judges if judge.missing]
    if not silent and not judges:
        return None
    silent.sort(key=lambda one: -one[1].rate)
    return Missing(
        rows=tuple(_row(name, found, digits) for name, found in silent),
        judges=tuple(
            MissingLine(
                one.judge, percent(one.rate, 1), _share(one.interval), count(one.n),
                _others(one.related_to_quality, digits), "", "", "", "",
            )
            for one in sorted(judges, key=lambda one: -one.rate)
        ),
    )  # fmt: skip


def _row(name: str, found: Unscored, digits: int) -> MissingLine:
    bounds = found.bounds
    means = [] if bounds is None else [one.raw_mean for one in bounds.shifted]
    corrected = None if bounds is None else bounds.corrected
    ends = [] if corrected is None else [end for one in corrected.shifted for end in one.interval]
    return MissingLine(
        name=name,
        rate=percent(found.rate, 1),
        interval=_share(found.interval),
        n=count(found.n),
        others=_others(found.related_to_quality, digits),
        within=interval((min(means), max(means)) if means else None, digits),
        worst=interval(None if bounds is None else bounds.worst_case, digits),
        corrected_within=interval((min(ends), max(ends)) if ends else None, digits),
        corrected_worst=interval(None if corrected is None else corrected.worst_case_interval, digits),
    )


def _share(ends: tuple[float, float] | None) -> str:
    return interval(None) if ends is None else f"{percent(ends[0], 1)} to {percent(ends[1], 1)}"


def _others(related: RelatedToQuality, digits: int) -> str:
    if related.status == "not_identified":
        return "cannot be told"
    if related.difference is None:
        return "too few to tell"
    ends = interval(related.interval, digits, sign=True)
    return f"{number(related.difference, digits, sign=True)} ({ends}), p {p_value(related.p_value)}"
