"""Which anchors could be graded once more, how a draw goes to their cells, and what its size can tell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.auditing.disagreement_measures import LINE
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import RubricKind
from app.stats.share_power import draws_for_power, least_told, power_of
from app.stats.stratified_draw import allocate
from app.storage.anchor_texts import AnchorGrade

USUAL, MOST = 50, 1_000
"""Anchors that are drawn unless a number or a power is asked for, and at most."""
ALTERNATIVE, POWER = 0.25, 0.8
"""A share of real disagreements that should not pass for the line, and how surely."""
_POWERS = (0.5, 0.8, 0.9)
_LONGEST_LIST = 10


@dataclass(frozen=True, slots=True)
class RegradeRequest:
    """What is asked of a draw: ``items`` anchors, or as many as tell a share of ``alternative`` from the line
    with a chance of ``power``; by systems, and by the values of ``stratum`` if one is named."""

    items: int | None = None
    power: float | None = None
    alternative: float = ALTERNATIVE
    stratum: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """What one person grades at once: the answers of an item, with the systems that gave them."""

    item_id: int
    answers: tuple[int, ...]
    system: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One stratum of a draw: answers of ``system`` (None: of all) to items of ``stratum`` (None: of all).

    ``size`` of them could be drawn, ``drawn`` are.
    """

    stratum: str | None
    system: str | None
    size: int
    drawn: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """``cell`` (N,) code of each unit among ``cells``. ``coarser``: too many cells were put together."""

    cell: NDArray[np.int64]
    cells: tuple[Cell, ...]
    coarser: bool


@dataclass(frozen=True, slots=True)
class Power:
    """What a number of anchors can tell of the share of real disagreements, at 95%.

    ``of_this`` is the chance to tell a true share of ``alternative`` from ``line``; ``least_told`` the least
    share that is told with a chance of 0.8 (None: none is). ``needed`` anchors for each chance.
    """

    line: float
    alternative: float
    of_this: float
    least_told: float | None
    needed: tuple[tuple[float, int], ...]


def units_of(grades: Sequence[AnchorGrade], kind: RubricKind) -> tuple[Unit, ...]:
    """Every answer, pair or list (all graded answers of an item, 2 to 10 of them) of a set."""
    if kind is not RubricKind.LISTWISE:
        units = {
            (one.answer_id,) if one.other_answer_id is None else (one.answer_id, one.other_answer_id): one
            for one in grades
        }
        # A pair stands in a set in either order, and is one thing to grade.
        kept = {key: one for key, one in units.items() if key[::-1] not in units or key <= key[::-1]}
        return tuple(Unit(one.item_id, key, _system(one)) for key, one in sorted(kept.items()))
    lists: defaultdict[int, set[int]] = defaultdict(set)
    for one in grades:
        lists[one.item_id].add(one.answer_id)
    return tuple(
        Unit(item, tuple(sorted(answers)), "all")
        for item, answers in sorted(lists.items())
        if 2 <= len(answers) <= _LONGEST_LIST
    )


def allocated(units: Sequence[Unit], values: Mapping[int, str], count: int) -> Allocation:
    """Hand ``count`` draws out to the cells: two of each at least, or one, or else of fewer cells.

    ``values`` gives items their stratum; empty without one.
    """
    finest = [(values.get(one.item_id), one.system) for one in units]
    by_stratum = [(stratum, None) for stratum, _ in finest]
    for keys, coarser in ((finest, False), (by_stratum, True), ([(None, None)] * len(units), True)):
        names = sorted(set(keys), key=lambda key: tuple(part or "" for part in key))
        code = {name: k for k, name in enumerate(names)}
        cell = np.array([code[key] for key in keys], np.int64)
        size = np.bincount(cell)
        for least in (2, 1):
            given = allocate(size, count, least)
            if given is not None:
                cells = zip(names, size.tolist(), given.tolist(), strict=True)
                return Allocation(cell, tuple(Cell(*name, n, drawn) for name, n, drawn in cells), coarser)
    raise ValueError("nothing is drawn")


def size_of(request: RegradeRequest, population: int) -> int:
    """How many anchors a draw takes."""
    wanted = request.items or USUAL
    if request.power is not None:
        wanted = draws_for_power(request.power, line=LINE, true=request.alternative, population=population)
    return min(wanted, population, MOST)


def power_of_size(count: int, population: int, alternative: float) -> Power:
    """What a draw of that size tells, of a set of that size."""
    return Power(
        line=LINE,
        alternative=alternative,
        of_this=power_of(count, line=LINE, true=alternative, population=population),
        least_told=least_told(count, line=LINE, power=POWER, population=population),
        needed=tuple(
            (power, draws_for_power(power, line=LINE, true=alternative, population=population))
            for power in _POWERS
        ),
    )


def refuse_bad_request(request: RegradeRequest) -> None:
    """Raise BadInput with everything that is wrong."""
    problems = []
    if request.items is not None and request.power is not None:
        problems.append(Problem("give either a number or a power", path="items", value=request.items))
    if request.items is not None and not 1 <= request.items <= MOST:
        problems.append(Problem(f"must lie between 1 and {MOST:,}", path="items", value=request.items))
    if request.power is not None and not 0.05 < request.power < 1:
        problems.append(Problem("must lie between 0.05 and 1", path="power", value=request.power))
    if not LINE + 0.01 <= request.alternative < 1:
        wording = f"must lie between {LINE + 0.01:g}, just above the line, and 1"
        problems.append(Problem(wording, path="alternative", value=request.alternative))
    if problems:
        raise BadInput("anchors cannot be drawn like this", problems)


def _system(one: AnchorGrade) -> str:
    if one.other_system is None:
        return one.system
    return " against ".join(sorted((one.system, one.other_system)))
