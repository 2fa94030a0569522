"""Disagreement: how often do two people who grade the same answer really differ?

Between grades that different people gave the same answer, all pairs of them; or, where ``cold`` names the
source of grades that were given again without any context, between a cold grade and another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.auditing.asked import Asked, Means, Outcome, Parameters
from app.domain.audits import AuditTable, AuditVerdict, Estimate, Findings
from app.domain.rubrics import RubricKind, Scale
from app.stats.agreement import agreement_among_people
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.swings import shift_of
from app.storage.anchor_texts import AnchorGrade, anchor_grades

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LINE, ALARM = 0.15, 0.20
"""Above 15 to 20% of real disagreements it is the labels that are the problem."""


class DisagreementParameters(Parameters):
    """``tolerance``: points by which two grades may differ without disagreeing; None: one step of a scale
    with four values or more, else none. ``cold``: the source that marks grades given again, cold."""

    tolerance: float | None = Field(None, ge=0, le=1e6)
    cold: str | None = Field(None, min_length=1, max_length=200)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of grades of one answer: ``first``, ``second`` index the grades, ``gap`` in points (k,),
    ``item`` (k,) its item, ``apart`` bool (k,) whether they really differ."""

    first: Ints
    second: Ints
    gap: Floats
    item: Ints
    apart: NDArray[np.bool_]


async def audit_disagreement(asked: Asked, means: Means) -> Outcome:
    """One criterion of the set: the one asked for, or the rubric's first."""
    want: DisagreementParameters = asked.parameters
    rubric = asked.rubric.rubric
    criterion = rubric.criterion(asked.audit.criterion or rubric.criteria[0].name)
    name = str(asked.audit.anchor_set)
    every = await anchor_grades(means.db, asked.project.id, name)
    grades = [one for one in every if one.criterion == criterion.name]
    pairwise = rubric.kind is RubricKind.PAIRWISE
    tolerance = _tolerance(criterion.scale, pairwise) if want.tolerance is None else want.tolerance
    pairs = pairs_of(grades, tolerance, want.cold)
    if not pairs.gap.size:
        raise InsufficientData("answers that two people graded", 0, 20)
    return Outcome(_findings(criterion.name, grades, pairs, tolerance, pairwise))


def _tolerance(scale: Scale, pairwise: bool) -> float:
    if pairwise or scale.step is None or len(scale.values()) < 4:
        return 0.0
    return scale.step


def pairs_of(grades: Sequence[AnchorGrade], tolerance: float, cold: str | None) -> Pairs:
    """Every pair of grades of one answer by different people; with ``cold`` one of them cold, one not."""
    units: dict[tuple[int, int | None], list[int]] = {}
    for place, one in enumerate(grades):
        units.setdefault((one.answer_id, one.other_answer_id), []).append(place)
    found = [
        pair
        for places in units.values()
        for pair in combinations(places, 2)
        if grades[pair[0]].annotator != grades[pair[1]].annotator
        and (cold is None or (grades[pair[0]].source == cold) != (grades[pair[1]].source == cold))
    ]
    first, second = (np.array([pair[side] for pair in found], np.int64) for side in (0, 1))
    value = np.array([one.value for one in grades])
    item = np.array([one.item_id for one in grades], np.int64)
    gap = value[first] - value[second] if found else np.zeros(0)
    about = item[first] if found else np.zeros(0, np.int64)
    return Pairs(first, second, gap, about, np.abs(gap) > tolerance + 1e-9)


def weighted_kappa(value: Floats, pairs: Pairs) -> Effect:
    """1 - E d^2 / (2 Var): quadratic weights, annotators exchangeable (Scott's chance agreement)."""
    a, b = value[pairs.first], value[pairs.second]
    moments = np.column_stack([np.ones(len(a)), (a - b) ** 2, a + b, a**2 + b**2])

    def kappa(total: Floats) -> Floats:
        n = total[:, 0]
        variance = total[:, 3] / (2 * n) - (total[:, 2] / (2 * n)) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(variance > 1e-12, 1 - total[:, 1] / n / (2 * variance), np.nan)

    return cluster_jackknife(sums_by_prompt(moments, pairs.item), kappa, n=len(a), what="pairs of grades")


def _findings(
    criterion: str, grades: Sequence[AnchorGrade], pairs: Pairs, tolerance: float, pairwise: bool
) -> Findings:
    value = np.array([one.value for one in grades])
    _, unit = np.unique([f"{one.answer_id} {one.other_answer_id}" for one in grades], return_inverse=True)
    item = np.array([one.item_id for one in grades], np.int64)
    share = _or_why(shift_of, pairs.apart.astype(float), pairs.item)
    alpha = _or_why(
        lambda: agreement_among_people(grade=value, graded_unit=unit, prompt=item, nominal=pairwise)
    )
    noise = _or_why(shift_of, pairs.gap**2 / 2, pairs.item)
    verdict, said = AuditVerdict.OPEN, f"{np.mean(pairs.apart):.0%} of pairs of grades really differ"
    if isinstance(share, Effect):
        if share.high <= ALARM and share.estimate <= LINE:
            verdict = AuditVerdict.PASSED
        elif share.low > LINE and share.estimate > ALARM:
            verdict = AuditVerdict.FAILED
        said += f" ({max(share.low, 0):.0%} to {min(share.high, 1):.0%})"
    people, outliers = _people(grades, pairs)
    return Findings(
        verdict=verdict,
        summary=f"On {criterion}, {said}; above {LINE:.0%} to {ALARM:.0%} the labels are the problem."
        + (f" Apart from the others: {', '.join(outliers)}." if outliers else ""),
        estimates=(
            _line("real_disagreements", share, len(pairs.gap), "share",
                  f"Pairs of grades of one answer that are more than {tolerance:g} points apart."),
            _line("krippendorff_alpha", alpha, len(pairs.gap), "agreement",
                  "Agreement among people, and so the ceiling on any judge's agreement with one of them."),
            _line("weighted_kappa", _or_why(weighted_kappa, value, pairs), len(pairs.gap), "agreement",
                  "Quadratic weights, annotators exchangeable."),
            _line("noise_of_one_grade", noise, len(pairs.gap), "points squared",
                  "Variance of one person's grade around the answer's mean: what a calibration must bear."),
        ),
        tables=(people, _systems(grades, pairs)),
    )  # fmt: skip


def _people(grades: Sequence[AnchorGrade], pairs: Pairs) -> tuple[AuditTable, list[str]]:
    """Each annotator against the others on the same answers, at a level that allows for their number."""
    who = np.array([one.annotator for one in grades])
    names = sorted(set(who[pairs.first]) | set(who[pairs.second]))
    level = 1 - 0.05 / len(names)
    rows, outliers = [], []
    for name in names:
        first, second = who[pairs.first] == name, who[pairs.second] == name
        mine = first | second
        gap = np.where(first, pairs.gap, -pairs.gap)[mine]
        shift = _or_why(lambda gap=gap, mine=mine: shift_of(gap, pairs.item[mine], level=level))
        ends = (shift.low, shift.high) if isinstance(shift, Effect) else (None, None)
        out = isinstance(shift, Effect) and (shift.low > 0 or shift.high < 0)
        outliers += [name] if out else []
        apart = float(np.mean(pairs.apart[mine]))
        rows.append((str(name), int(mine.sum()), apart, float(gap.mean()), *ends, "yes" if out else "no"))
    columns = ("annotator", "pairs", "really differ", "above the others by", "from", "to", "apart")
    title = "Every annotator against the others, intervals for all of them at once"
    return AuditTable("annotators", title, columns, tuple(rows), len(rows)), outliers


def _systems(grades: Sequence[AnchorGrade], pairs: Pairs) -> AuditTable:
    system = np.array([one.system for one in grades])[pairs.first]
    rows = []
    for name in sorted(set(system)):
        mine = system == name
        share = _or_why(shift_of, pairs.apart[mine].astype(float), pairs.item[mine])
        ends = (share.low, share.high) if isinstance(share, Effect) else (None, None)
        rows.append((str(name), int(mine.sum()), float(np.mean(pairs.apart[mine])), *ends))
    columns = ("system", "pairs", "really differ", "from", "to")
    return AuditTable("systems", "By system", columns, tuple(rows), len(rows))


def _line(name: str, effect: Effect | str, n: int, unit: str, note: str) -> Estimate:
    if isinstance(effect, str):
        return Estimate(name, None, None, n, "pairs", unit, effect)
    low = max(effect.low, 0.0) if unit != "agreement" else effect.low
    high = effect.high if unit == "points squared" else min(effect.high, 1.0)
    return Estimate(name, effect.estimate, (low, high), n, "pairs", unit, note)


def _or_why(estimate: Callable[..., Effect], *arguments: object) -> Effect | str:
    try:
        return estimate(*arguments)
    except (InsufficientData, NotIdentified) as error:
        return str(error)
