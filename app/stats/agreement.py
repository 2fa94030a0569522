"""Agreement beyond chance between a judge and people, and among people.

Krippendorff's alpha, 1 - D_o / D_e: observed disagreement within units over that expected between values
drawn at random (Krippendorff 2004, "Content Analysis", ch. 11). With squared differences (interval
metric) both are moments; with the nominal metric they are shares of unequal values. Each verdict counts
once, however many people graded its unit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_UNITS = 20


def agreement_with_people(
    *,
    judge: Floats,
    unit: Ints,
    grade: Floats,
    graded_unit: Ints,
    prompt: Ints,
    nominal: bool = False,
    level: float = 0.95,
) -> Effect:
    """Alpha between a judge's value and single human grades of the same units.

    Parameters
    ----------
    judge : (n,)
        Single verdicts of the judge.
    unit : (n,)
        Codes of the units they are of.
    grade, graded_unit : (k,)
        Human grades and the codes of the units they are of; others than ``unit`` are ignored.
    prompt : (n,)
        Prompt code per verdict.
    nominal : bool
        Count unequal values (pairs) instead of squared differences (scales).

    Returns
    -------
    Effect
        1 is perfect, 0 chance; below 0 worse than chance.
    """
    matched = match_grades(judge=judge, unit=unit, grade=grade, graded_unit=graded_unit, prompt=prompt)
    n = len(np.unique(matched.unit))
    if n < MIN_UNITS:
        raise InsufficientData("units graded by the judge and by people", n, MIN_UNITS)
    return cluster_jackknife(
        sums_by_prompt(match_moments(matched, nominal=nominal), matched.prompt),
        lambda total: alpha_of(total, nominal=nominal),
        n=n,
        level=level,
        what="agreement with people",
    )


@dataclass(frozen=True, slots=True)
class MatchedGrades:
    """Verdicts (n,) of one judge on graded units, each beside the people who graded its unit.

    ``judge``, ``unit``, ``prompt`` (n,). ``values`` (v,) that occur among verdicts and grades. ``first`` and
    ``second`` (n,): mean and mean square of the unit's grades; ``shares`` (n, v): its grades' shares at each
    value, None for more than `MOST_VALUES` of them.
    """

    judge: Floats
    unit: Ints
    prompt: Ints
    values: Floats
    first: Floats
    second: Floats
    shares: Floats | None


MOST_VALUES = 20


def match_grades(
    *, judge: Floats, unit: Ints, grade: Floats, graded_unit: Ints, prompt: Ints
) -> MatchedGrades:
    """Put verdicts (n,) beside grades (k,); arguments as in `agreement_with_people`."""
    graded, row = np.unique(graded_unit, return_inverse=True)
    place = np.clip(np.searchsorted(graded, unit), 0, max(len(graded) - 1, 0))
    both = graded[place] == unit if len(graded) else np.zeros(len(unit), dtype=bool)
    judge, place = judge[both], place[both]
    weight = (1.0 / np.bincount(row))[row] if len(row) else np.zeros(0)  # the people of a unit count once
    values = np.unique(np.concatenate([judge, grade]))
    shares = None
    if len(values) <= MOST_VALUES:
        shares = _sum_rows((grade[:, None] == values) * weight[:, None], row, len(graded))[place]
    first = np.bincount(row, weights=grade * weight, minlength=len(graded))[place]
    second = np.bincount(row, weights=grade**2 * weight, minlength=len(graded))[place]
    return MatchedGrades(judge, unit[both], prompt[both], values, first, second, shares)


def match_moments(matched: MatchedGrades, *, nominal: bool) -> Floats:
    """Moments (n, k) whose sums `alpha_of` takes: 1, (dis)agreement, and what is expected by chance."""
    judge, ones = matched.judge, np.ones(len(matched.judge))
    if not nominal:
        apart = judge**2 - 2 * judge * matched.first + matched.second
        return np.column_stack([ones, apart, judge + matched.first, judge**2 + matched.second])
    if matched.shares is None:
        raise ValueError(f"{len(matched.values)} values are no categories")
    judged = (judge[:, None] == matched.values).astype(float)
    return np.column_stack([ones, (judged * matched.shares).sum(axis=1), judged + matched.shares])


def alpha_of(total: Floats, *, nominal: bool) -> Floats:
    """Alpha (b,) of sums (b, k) of `match_moments`; NaN where nothing varies."""
    count = 2 * total[:, 0]
    if nominal:
        expected = (1 - ((total[:, 2:] / count[:, None]) ** 2).sum(axis=1)) * count / (count - 1)
        return _one_minus_ratio(1 - 2 * total[:, 1] / count, expected)
    expected = 2 * (count * total[:, 3] - total[:, 2] ** 2) / (count * (count - 1))
    return _one_minus_ratio(2 * total[:, 1] / count, expected)


def agreement_among_people(
    *, grade: Floats, graded_unit: Ints, prompt: Ints, nominal: bool = False, level: float = 0.95
) -> Effect:
    """Alpha among human grades: how far one more person agrees with a single one of them (`agreement_ceiling`
    has what that leaves for a judge).

    ``grade``, ``graded_unit`` and ``prompt`` are (k,), one row per grade. Units with one grade do not count.
    """
    units, row = np.unique(graded_unit, return_inverse=True)
    counts = np.bincount(row).astype(float)
    several = counts[row] >= 2
    if int((counts >= 2).sum()) < MIN_UNITS:
        raise InsufficientData("units with two human grades", int((counts >= 2).sum()), MIN_UNITS)
    units, row = np.unique(graded_unit[several], return_inverse=True)
    grade, counts = grade[several], np.bincount(row).astype(float)
    unit_prompt = np.zeros(len(units), dtype=np.int64)
    unit_prompt[row] = prompt[several]
    if nominal:
        values = np.unique(grade)
        seen = _sum_rows((grade[:, None] == values).astype(float), row, len(units))
        equal = (seen * (seen - 1)).sum(axis=1) / (counts - 1)  # ordered pairs, each grade weighted once
        moments = np.column_stack([counts, equal, seen])

        def alpha(total: Floats) -> Floats:
            count = total[:, 0]
            seen = total[:, 2:]
            expected = (seen * (seen - 1)).sum(axis=1) / (count * (count - 1))
            return _one_minus_ratio(1 - total[:, 1] / count, 1 - expected)

    else:
        first = _sum_rows(grade[:, None], row, len(units))[:, 0]
        second = _sum_rows((grade**2)[:, None], row, len(units))[:, 0]
        apart = 2 * (counts * second - first**2) / (counts - 1)
        moments = np.column_stack([counts, apart, first, second])

        def alpha(total: Floats) -> Floats:
            count = total[:, 0]
            expected = 2 * (count * total[:, 3] - total[:, 2] ** 2) / (count * (count - 1))
            return _one_minus_ratio(total[:, 1] / count, expected)

    return cluster_jackknife(
        sums_by_prompt(moments, unit_prompt),
        alpha,
        n=len(units),
        level=level,
        what="agreement among people",
    )


def _sum_rows(values: Floats, row: NDArray[np.integer], count: int) -> Floats:
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, row, values)
    return sums


def _one_minus_ratio(observed: Floats, expected: Floats) -> Floats:
    """NaN where nothing varies: agreement on a constant says nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)
