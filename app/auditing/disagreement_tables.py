"""Disagreements by annotator, by stratum and by system: who and what is apart, for all of them at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.auditing.disagreement_measures import LEVEL, Measured
from app.auditing.twice import Bools, Names, Twice
from app.domain.audits import AuditTable
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.pair_agreement import contrast_of_pairs, mean_of_pairs, share_of_pairs
from app.stats.shares import Share

Cell = str | float | int | None
_MOST_ROWS = 1_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class People:
    """Every annotator's row, and who is apart from the others, each with how."""

    table: AuditTable
    outliers: tuple[str, ...]


def annotators_table(found: Sequence[Measured]) -> People:
    """Each annotator against the others, on every criterion.

    Two claims per annotator and criterion, higher or lower than the others and differing more often than
    they do, at a level that allows for all of them together (Bonferroni).
    """
    cells = [(one, name) for one in found for name in _names(one.twice)]
    level = 1 - (1 - LEVEL) / max(2 * len(cells), 1)
    rows: list[tuple[Cell, ...]] = []
    outliers = []
    for one, name in cells:
        twice = one.twice
        mine = (twice.first_by == name) | (twice.second_by == name)
        share = or_none(share_of_pairs, twice.apart[mine], twice.pairs.only(mine))
        shift = _shift(twice, name, mine, level)
        more = _contrast(twice.apart.astype(float), mine, twice, level)
        how = _how(shift, more)
        if how:
            where = f" on {one.criterion}" if len(found) > 1 else ""
            outliers.append(f"{name} ({how}{where})")
        apart = how or ("cannot tell" if shift is None else "no")
        rows.append((str(name), one.criterion, int(mine.sum()), *_three(share), *_three(shift), apart))
    columns = (
        *("annotator", "criterion", "pairs", "really differ", "differ from", "differ to"),
        *("above the others by", "above from", "above to", "apart"),
    )
    title = "Every annotator against the others; who is apart holds for all of them at once"
    table = AuditTable("annotators", title, columns, tuple(rows[:_MOST_ROWS]), len(rows))
    return People(table, tuple(outliers))


def groups_table(
    name: str,
    title: str,
    found: Sequence[Measured],
    groups: Callable[[Twice], Mapping[str, Bools]],
    line: float,
) -> AuditTable:
    """The share of real disagreements in each group of pairs, and whether it is above the line.

    Intervals hold for all rows at once. Of cold grades also how far they lie above those they are held
    against: what grading anew would add to the group's mean.
    """
    cells = [(one, group, mine) for one in found for group, mine in groups(one.twice).items()]
    level = 1 - (1 - LEVEL) / max(len(cells), 1)
    cold = any(one.twice.cold for one in found)
    rows: list[tuple[Cell, ...]] = []
    for one, group, mine in cells:
        pairs = one.twice.pairs.only(mine)
        share = or_none(share_of_pairs, one.twice.apart[mine], pairs, level)
        above = "open"
        if share is not None and not share.low <= line < share.high:
            above = "yes" if share.low > line else "no"
        moved = _three(or_none(mean_of_pairs, -one.twice.gap[mine], pairs, level)) if cold else ()
        rows.append((group, one.criterion, int(mine.sum()), *_three(share), above, *moved))
    columns = (
        *("group", "criterion", "pairs", "really differ", "differ from", "differ to", "above the line"),
        *(("cold above by", "above from", "above to") if cold else ()),
    )
    return AuditTable(name, title, columns, tuple(rows[:_MOST_ROWS]), len(rows))


def by_system(twice: Twice) -> Mapping[str, Bools]:
    """Pairs by the system whose answer they are of."""
    return {str(name): twice.system == name for name in np.unique(twice.system)}


def or_none(estimate: Callable[..., T], *arguments: object) -> T | None:
    """An estimate, or None where there are too few data for one."""
    try:
        return estimate(*arguments)
    except (InsufficientData, NotIdentified):
        return None


def _names(twice: Twice) -> Names:
    return np.unique(np.concatenate([twice.first_by, twice.second_by]))


def _shift(twice: Twice, name: str, mine: Bools, level: float) -> Effect | None:
    """How far somebody lies above the others.

    Of repeated grades: above the others on the same answers. A cold grade is held against one that was
    there, so there whoever gave either is compared with the others who gave such grades.
    """
    if not twice.cold:
        gap = np.where(twice.first_by == name, twice.gap, -twice.gap)
        return or_none(mean_of_pairs, gap[mine], twice.pairs.only(mine), level)
    cold = bool((twice.second_by == name).any())
    side = twice.second_by == name if cold else twice.first_by == name
    return _contrast(-twice.gap if cold else twice.gap, side, twice, level)


def _contrast(value: NDArray[np.float64], mine: Bools, twice: Twice, level: float) -> Effect | None:
    if mine.all() or not mine.any():
        return None
    return or_none(contrast_of_pairs, value, mine, twice.pairs, level)


def _how(shift: Effect | None, more: Effect | None) -> str:
    said = []
    if shift is not None and (shift.low > 0 or shift.high < 0):
        said.append("higher" if shift.low > 0 else "lower")
    if more is not None and more.low > 0:
        said.append("differs more often")
    return ", ".join(said)


def _three(one: Effect | Share | None) -> tuple[float | None, float | None, float | None]:
    if one is None:
        return None, None, None
    sure = isinstance(one, Effect) and one.std_error <= 0  # all alike: how far it is off cannot be told
    return (one.estimate, None, None) if sure else (one.estimate, one.low, one.high)
