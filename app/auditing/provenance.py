"""Provenance: did a person, named, at a known time, blind, give every grade that counts as an anchor?"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.auditing.asked import Asked, Means, Outcome, Parameters
from app.domain.audits import AuditTable, AuditVerdict, Estimate, Findings
from app.domain.model_names import names_a_model, source_is_a_model
from app.domain.problems import BadInput
from app.stats.errors import InsufficientData
from app.stats.shares import share_of
from app.storage.anchor_texts import AnchorGrade, anchor_grades
from app.storage.evidence import Evidence, load_evidence

LEAST_SHARE = 0.95
"""Of answers with a grade that passes; below it the set fails."""
LEAST_SAME, SAME_SHARE, LEAST_VALUES = 30, 0.98, 3
"""An annotator whose grades equal one judge's verdicts on so many answers, so often, copied them."""
_ROWS = 1_000


class Refuse(StrEnum):
    """Which grades' anchors are put aside: none, those that cannot be a person's own, or all that fail."""

    NONE = "none"
    WRONG = "wrong"
    ALL = "all"


class ProvenanceParameters(Parameters):
    """``require``: what must be on record of a grade. ``refuse``: see `Refuse`."""

    refuse: Refuse = Refuse.WRONG
    require: tuple[str, ...] = Field(("when", "interface", "blind"), max_length=3)


_MISSING = {
    "when": "it is not on record when it was given",
    "interface": "it is not on record in which interface it was given (source)",
    "blind": "it is not on record whether scores and systems were hidden (blind)",
}


async def audit_provenance(asked: Asked, means: Means) -> Outcome:
    """Every grade of the set, on every criterion unless one was asked for."""
    want: ProvenanceParameters = asked.parameters
    if unknown := [one for one in want.require if one not in _MISSING]:
        raise BadInput(f"parameters.require knows {', '.join(_MISSING)}, not {', '.join(unknown)}")
    name, only = str(asked.audit.anchor_set), asked.audit.criterion
    grades = [
        one
        for one in await anchor_grades(means.db, asked.project.id, name)
        if only is None or one.criterion == only
    ]
    if not grades:
        raise InsufficientData("human grades in the set", 0, 1)
    copied: dict[tuple[str, str], str] = {}
    for criterion in sorted({one.criterion for one in grades}):
        evidence = await load_evidence(
            means.db, asked.project.id, asked.rubric.rubric.name, criterion, anchor_sets=[name]
        )
        copied |= {(criterion, who): said for who, said in copies(evidence).items()}
    wrong = [faults(one, want.require, copied.get((one.criterion, one.annotator))) for one in grades]
    return _outcome(grades, wrong, want.refuse)


def faults(
    grade: AnchorGrade, require: Sequence[str], copied: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What speaks against a grade: what makes it no person's own judgement, and what is not on record."""
    wrong = []
    if word := names_a_model(grade.annotator_type) or names_a_model(grade.annotator):
        wrong.append(f"a model gave it ({word})")
    elif grade.source and (word := source_is_a_model(grade.source)):
        wrong.append(f"its source is a model ({word})")
    if grade.simulated and not wrong:
        wrong.append("a made-up person gave it")
    if grade.unblinded:
        wrong.append("who graded saw systems or model scores")
    if copied:
        wrong.append(copied)
    known = {"when": grade.graded_at, "interface": grade.source, "blind": grade.blind}
    return tuple(wrong), tuple(_MISSING[one] for one in require if known[one] is None)


def copies(evidence: Evidence) -> dict[str, str]:
    """Annotators whose grades are one judge's verdicts, number for number: a model wrote the label.

    Chance cannot do it: over 30 answers with three values or more, people who agree as well as people do are
    equal on about half.
    """
    found: dict[str, str] = {}
    scored = np.isfinite(evidence.v_value)
    for who, name in enumerate(evidence.annotators):
        mine = evidence.h_annotator == who
        value = np.full(evidence.unit_id.size, np.nan)
        value[evidence.h_unit[mine]] = evidence.h_value[mine]
        for judge in range(len(evidence.judges)):
            rows = scored & (evidence.v_judge == judge) & np.isfinite(value[evidence.v_unit])
            said, felt = evidence.v_value[rows], value[evidence.v_unit[rows]]
            if said.size < LEAST_SAME or len(np.unique(felt)) < LEAST_VALUES:
                continue
            same = float(np.mean(said == felt))
            if same >= SAME_SHARE:
                judged = evidence.judges[judge].name
                found[name] = f"{name}'s grades equal the verdicts of {judged} on {same:.0%} of {said.size:,}"
    return found


def _outcome(
    grades: Sequence[AnchorGrade], found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], refuse: Refuse
) -> Outcome:
    passes = np.array([not wrong and not missing for wrong, missing in found])
    units: dict[tuple[int, int, int | None, str], bool] = {}
    for grade, good in zip(grades, passes, strict=True):
        key = (grade.item_id, grade.answer_id, grade.other_answer_id, grade.criterion)
        units[key] = units.get(key, False) or bool(good)
    hit = np.array(list(units.values()))
    share = share_of(hit, np.array([key[0] for key in units]), what="anchors")
    verdict = (
        AuditVerdict.PASSED
        if share.low >= LEAST_SHARE or (share.estimate == 1 and not refusable(found))
        else AuditVerdict.FAILED
        if share.high < LEAST_SHARE or refusable(found)
        else AuditVerdict.OPEN
    )
    why = Counter(reason for wrong, missing in found for reason in (*wrong, *missing))
    aside = {} if refuse is Refuse.NONE else _aside(grades, found, hard_only=refuse is Refuse.WRONG)
    summary = (
        f"{share.estimate:.0%} of {len(units):,} anchors have a grade of a person with nothing against it "
        f"({share.low:.0%} to {share.high:.0%}; {LEAST_SHARE:.0%} is asked for)"
        + ("; what fails is put aside until a person decides." if aside else ".")
    )
    estimates = (
        Estimate(
            "share_that_passes", share.estimate, (share.low, share.high), len(units), "anchors", "share",
            "Anchors with at least one grade that passes; the interval is for the way these were collected.",
        ),
        *(
            _counted(name, flags, grades)
            for name, flags in (
                ("no_persons_own", [bool(wrong) for wrong, _ in found]),
                ("saw_systems_or_scores", [g.unblinded for g in grades]),
                ("blind", [g.blind is True for g in grades]),
                ("with_a_time", [g.graded_at is not None for g in grades]),
                ("with_an_interface", [g.source is not None for g in grades]),
            )
        ),
    )  # fmt: skip
    return Outcome(
        Findings(
            verdict,
            summary,
            estimates,
            (_reasons(why, len(grades)), _people(grades, passes), _failing(grades, found)),
            warnings=_warnings(grades),
        ),
        put_aside=aside,
        cause="provenance",
    )


def refusable(found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> bool:
    """Whether any grade is no person's own judgement."""
    return any(wrong for wrong, _ in found)


def _aside(
    grades: Sequence[AnchorGrade],
    found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
    *,
    hard_only: bool,
) -> dict[int, str]:
    aside: dict[int, str] = {}
    for grade, (wrong, missing) in zip(grades, found, strict=True):
        reasons = wrong if hard_only else (*wrong, *missing)
        if reasons:
            aside.setdefault(grade.item_id, f"provenance: {reasons[0]}")
    return aside


def _counted(name: str, flags: Sequence[bool], grades: Sequence[AnchorGrade]) -> Estimate:
    share = share_of(np.array(flags), np.array([one.item_id for one in grades]), what="grades")
    return Estimate(
        name, share.estimate, (share.low, share.high), len(grades), "grades", "share", "Share of grades."
    )


def _reasons(why: Counter[str], grades: int) -> AuditTable:
    rows = tuple((reason, count, count / grades) for reason, count in why.most_common())
    return AuditTable("reasons", "What speaks against grades", ("reason", "grades", "share"), rows, len(rows))


def _people(grades: Sequence[AnchorGrade], passes: NDArray[np.bool_]) -> AuditTable:
    table: dict[tuple[str, str], list[AnchorGrade]] = {}
    good: Counter[tuple[str, str]] = Counter()
    for grade, passed in zip(grades, passes, strict=True):
        table.setdefault((grade.annotator, grade.annotator_type), []).append(grade)
        good[grade.annotator, grade.annotator_type] += bool(passed)
    rows = []
    for key, mine in sorted(table.items()):
        times = sorted(one.graded_at for one in mine if one.graded_at is not None)
        sources = sorted({one.source for one in mine if one.source})
        span = f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}" if times else None
        rows.append((*key, len(mine), good[key] / len(mine), span, ", ".join(sources)[:200] or None))
    columns = ("annotator", "type", "grades", "share that passes", "when", "interface")
    return AuditTable("annotators", "Who graded", columns, tuple(rows), len(rows))


def _failing(
    grades: Sequence[AnchorGrade], found: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
) -> AuditTable:
    rows = [
        (g.item, g.system, g.criterion, g.annotator, "; ".join((*wrong, *missing)))
        for g, (wrong, missing) in sorted(zip(grades, found, strict=True), key=lambda one: not one[1][0])
        if wrong or missing
    ]
    columns = ("item", "system", "criterion", "annotator", "what speaks against it")
    return AuditTable("failing", "Grades that do not pass", columns, tuple(rows[:_ROWS]), len(rows))


def _warnings(grades: Sequence[AnchorGrade]) -> tuple[str, ...]:
    if len({one.annotator for one in grades}) == 1:
        return ("One person gave every grade.",)
    return ()
