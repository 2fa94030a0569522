"""Disagreement: how often do two people who grade the same answer really differ?

Between grades that different people gave the same answer, all pairs of them; or between the grades of a set
and those that somebody gave once more, cold: in the queue of a regrade, or in a file under their own source.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from app.auditing.asked import Asked, Means, Outcome, Parameters
from app.auditing.disagreement_measures import LINE, Measured, measured, verdict_of
from app.auditing.disagreement_tables import annotators_table, by_system, groups_table
from app.auditing.disagreement_words import criteria_table, estimates_of, summary_of
from app.auditing.noise_in_calibration import noise_in_calibration
from app.auditing.twice import Bools, Said, Twice, pairs_of, said_cold, said_in_set
from app.domain.annotation import Queue, QueueItem, State
from app.domain.audits import AuditTable, Findings
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import RubricKind, Scale
from app.stats.errors import InsufficientData
from app.storage import annotation_queues, annotations
from app.storage.anchor_texts import shown_grades
from app.storage.database import Database
from app.storage.units import strata_of_items


class DisagreementParameters(Parameters):
    """``tolerance``: points by which two grades may differ without disagreeing; None: one step of a scale
    with four values or more, else none. ``regrade``: the queue in which anchors were graded once more, cold;
    ``cold``: the source that marks such grades in the set itself."""

    tolerance: float | None = Field(None, ge=0, le=1e6)
    regrade: str | None = Field(None, min_length=1, max_length=200)
    cold: str | None = Field(None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_kind_of_cold(self) -> "DisagreementParameters":
        if self.regrade is not None and self.cold is not None:
            raise ValueError("give either `regrade` or `cold`")
        return self


@dataclass(frozen=True, slots=True)
class Evidence:
    """All grades that are compared, and what is to be known of them beside the numbers."""

    said: list[Said]
    warnings: tuple[str, ...] = ()


async def audit_disagreement(asked: Asked, means: Means) -> Outcome:
    """Every criterion of the rubric, or the one asked for."""
    want: DisagreementParameters = asked.parameters
    evidence = await _evidence(asked, means.db, want)
    found, unknown = [], []
    rubric = asked.rubric.rubric
    wanted = [one for one in rubric.criteria if asked.audit.criterion in (None, one.name)]
    nominal = rubric.kind is RubricKind.PAIRWISE
    for criterion in wanted:
        said = [one for one in evidence.said if one.criterion == criterion.name]
        tolerance = _tolerance(criterion.scale, nominal) if want.tolerance is None else want.tolerance
        twice = pairs_of(said, tolerance)
        if not len(twice):
            unknown.append(criterion.name)
            continue
        calibration = await noise_in_calibration(
            means.db, asked.project.id, rubric=rubric.name, criterion=criterion.name,
            anchor_set=str(asked.audit.anchor_set), said=said, twice=twice,
        )  # fmt: skip
        found.append(
            await asyncio.to_thread(
                measured, criterion.name, said, twice, tolerance=tolerance, nominal=nominal,
                criteria=len(wanted), calibration=calibration,
            )
        )  # fmt: skip
    if not found:
        raise InsufficientData("answers that two people graded", 0, 20)
    strata = await _strata(means.db, found)
    warnings = [*evidence.warnings]
    if unknown:
        warnings.append(f"nobody's grades could be compared on: {', '.join(unknown)}")
    return Outcome(await asyncio.to_thread(_findings, found, strata, tuple(warnings)))


async def _evidence(asked: Asked, db: Database, want: DisagreementParameters) -> Evidence:
    project, name = asked.project.id, str(asked.audit.anchor_set)
    if want.regrade is None:
        return Evidence(said_in_set(await shown_grades(db, project, name), want.cold))
    queue = await annotation_queues.find_queue(db, project, want.regrade)
    if queue is None or queue.regrade is None or queue.anchor_set != name:
        wording = f"is no queue in which anchors of {name!r} are graded cold"
        raise BadInput("", [Problem(wording, path="regrade", value=want.regrade)])
    items = await annotation_queues.queue_items(db, queue)
    annotated = await annotations.annotations_of(db, queue)
    before = await shown_grades(db, project, name, version=queue.regrade.version)
    cold = said_cold(queue, items, annotated)
    graded = {one.queue_item_id for one in annotated if one.state is State.DONE and not one.adjudicates}
    skipped = {one.queue_item_id for one in annotated if one.state is State.SKIPPED} - graded
    return Evidence(
        [*said_in_set(before, None), *cold],
        _warnings(queue, items, len(graded), len(skipped), asked.audit.version),
    )


def _warnings(
    queue: Queue, items: Sequence[QueueItem], graded: int, skipped: int, version: int | None
) -> tuple[str, ...]:
    said = []
    if graded < len(items):
        left = f"{len(items) - graded:,} of the {len(items):,} anchors that were drawn are not graded"
        why = f", {skipped:,} of them skipped with a reason" if skipped else ""
        said.append(f"{left}{why}: what is found holds for them too only if they are like the others")
    drawn_from = queue.regrade.version if queue.regrade else None
    if version != drawn_from:
        said.append(f"they are held against version {drawn_from} of the set, which they were drawn from")
    return tuple(said)


async def _strata(db: Database, found: Sequence[Measured]) -> Mapping[str, Mapping[int, str]]:
    """Stratum name -> item -> value, of the items that were graded twice."""
    ids = np.unique(np.concatenate([one.twice.pairs.prompt for one in found]))
    codes, values = await strata_of_items(db, ids)
    return {
        name: {
            item: values[name][code]
            for item, code in zip(ids.tolist(), of_items.tolist(), strict=True)
            if code >= 0
        }
        for name, of_items in codes.items()
    }


def _findings(
    found: Sequence[Measured], strata: Mapping[str, Mapping[int, str]], warnings: tuple[str, ...]
) -> Findings:
    people = annotators_table(found)
    verdict = verdict_of(found)
    tables: list[AuditTable] = [criteria_table(found)] if len(found) > 1 else []
    tables.append(people.table)
    if strata:
        tables.append(groups_table("strata", "By stratum, for all rows at once", found, _by(strata), LINE))
    tables.append(groups_table("systems", "By system, for all rows at once", found, by_system, LINE))
    return Findings(
        verdict=verdict,
        summary=summary_of(found, people.outliers),
        estimates=tuple(line for one in found for line in estimates_of(one, len(found) > 1)),
        tables=tuple(tables),
        warnings=warnings,
    )


def _by(strata: Mapping[str, Mapping[int, str]]) -> Callable[[Twice], Mapping[str, Bools]]:
    def groups(twice: Twice) -> Mapping[str, Bools]:
        return {
            f"{name}: {value}": np.array([items.get(item) == value for item in twice.pairs.prompt.tolist()])
            for name, items in strata.items()
            for value in sorted({items[item] for item in twice.pairs.prompt.tolist() if item in items})
        }

    return groups


def _tolerance(scale: Scale, nominal: bool) -> float:
    if nominal or scale.step is None or len(scale.values()) < 4:
        return 0.0
    return scale.step
