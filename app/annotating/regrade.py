"""Anchors graded once more, cold: which ones, and the queue in which somebody else grades them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from app.anchoring.ingest import rubric_or_refuse
from app.annotating.queues import Queues
from app.annotating.regrade_draw import (
    Allocation,
    Cell,
    Power,
    RegradeRequest,
    Unit,
    allocated,
    power_of_size,
    refuse_bad_request,
    size_of,
    units_of,
)
from app.domain.anchors import AnchorSetVersion
from app.domain.annotation import NewItem, Queue, Regrade
from app.domain.problems import BadInput, NotFound, Problem
from app.domain.projects import Project
from app.stats.stratified_draw import draw_stratified
from app.storage import anchors, annotation_queues
from app.storage.anchor_texts import anchor_grades, shown_grades
from app.storage.database import Database
from app.storage.units import strata_of_items


@dataclass(frozen=True, slots=True)
class RegradePlan:
    """A draw of ``items`` anchors out of ``population``; ``untexted`` could not be shown to anybody.

    ``people`` graded the set so far: nobody grades again what they graded.
    """

    version: AnchorSetVersion
    stratum: str | None
    items: int
    population: int
    untexted: int
    cells: tuple[Cell, ...]
    power: Power
    people: tuple[str, ...]
    warnings: tuple[str, ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Regrades:
    """Cold regrades of all projects' anchor sets; ``seed`` gives a new seed for each draw."""

    db: Database
    queues: Queues
    seed: Callable[[], int]
    now: Callable[[], datetime] = _utc_now

    async def plan(self, project: Project, name: str, request: RegradeRequest) -> RegradePlan:
        """What a draw would take, from where, and what it could tell.

        Raises
        ------
        NotFound
            If there is no such set.
        BadInput
            If nothing can be drawn like this, with all that is wrong.
        """
        plan, _, _ = await self._prepared(project, name, request)
        return plan

    async def begin(
        self,
        project: Project,
        name: str,
        request: RegradeRequest,
        *,
        graders: int = 1,
        guidance: str = "",
        seed: int | None = None,
    ) -> tuple[Queue, RegradePlan]:
        """Draw, and make the queue in which ``graders`` people per anchor grade them cold.

        Raises
        ------
        NotFound, BadInput
            As `plan`.
        """
        plan, units, could = await self._prepared(project, name, request)
        seed = self.seed() if seed is None else seed
        allocation = np.array([one.drawn for one in plan.cells], np.int64)
        drawn = draw_stratified(could.cell, allocation, np.random.default_rng(seed))
        mean = plan.items / plan.population
        new = [
            NewItem(units[k].item_id, units[k].answers, graders, chance / mean, ("drawn to be graded cold",))
            for k, chance in zip(drawn.row.tolist(), drawn.inclusion.tolist(), strict=True)
        ]
        queue = await self.queues.create(
            project,
            name=await self._free_name(project, name),
            rubric=plan.version.rubric,
            anchor_set=name,
            guidance=guidance,
            regrade=Regrade(plan.version.version, request.stratum, seed),
        )
        await annotation_queues.add_items(
            self.db, project.id, queue, new, population=plan.population, now=self.now()
        )
        return queue, plan

    async def of_set(self, project: Project, name: str) -> tuple[Queue, ...]:
        """The queues of a set's cold regrades, the newest first; NotFound if there is no such set."""
        await self._version(project, name)
        found = await annotation_queues.list_queues(self.db, project.id)
        return tuple(one for one in found if one.regrade is not None and one.anchor_set == name)

    async def strata(self, project: Project, name: str) -> tuple[str, ...]:
        """Names of the strata that items of the set have."""
        ids = {one.item_id for one in await anchor_grades(self.db, project.id, name)}
        return tuple((await strata_of_items(self.db, np.array(sorted(ids), np.int64)))[0])

    async def _prepared(
        self, project: Project, name: str, request: RegradeRequest
    ) -> tuple[RegradePlan, Sequence[Unit], Allocation]:
        refuse_bad_request(request)
        version = await self._version(project, name)
        grades = await shown_grades(self.db, project.id, name)
        kind = (await rubric_or_refuse(self.db, project, version.rubric)).rubric.kind
        every = units_of(grades, kind)
        texts = await annotation_queues.answers_with_texts(
            self.db, [key for one in every for key in one.answers]
        )
        units = [one for one in every if all(key in texts for key in one.answers)]
        untexted = len(every) - len(units)
        if not units:
            raise BadInput("there is nothing to draw", [Problem(_why_nothing(untexted), path="items")])
        count = size_of(request, len(units))
        could = allocated(units, await self._values(units, request.stratum), count)
        plan = RegradePlan(
            version=version,
            stratum=request.stratum,
            items=count,
            population=len(units),
            untexted=untexted,
            cells=could.cells,
            power=power_of_size(count, len(units), request.alternative),
            people=tuple(sorted({one.annotator for one in grades})),
            warnings=_warnings(untexted, could),
        )
        return plan, units, could

    async def _version(self, project: Project, name: str) -> AnchorSetVersion:
        versions = await anchors.anchor_set_versions(self.db, project.id, name)
        if not versions:
            raise NotFound("anchor set", name)
        return versions[0]

    async def _values(self, units: Sequence[Unit], stratum: str | None) -> Mapping[int, str]:
        """Item -> its value of the stratum; BadInput if no item has any."""
        if stratum is None:
            return {}
        ids = np.array(sorted({one.item_id for one in units}), np.int64)
        codes, values = await strata_of_items(self.db, ids)
        if stratum not in codes:
            wording = f"no item of the set has it; there are: {', '.join(codes) or 'none'}"
            problem = Problem(wording, path="stratum", value=stratum)
            raise BadInput("anchors cannot be drawn like this", [problem])
        found = zip(ids.tolist(), codes[stratum].tolist(), strict=True)
        return {item: values[stratum][code] if code >= 0 else "none" for item, code in found}

    async def _free_name(self, project: Project, name: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9 ._-]", "-", name)[:80].strip(" .-_") or "anchors"
        taken = {one.name for one in await annotation_queues.list_queues(self.db, project.id)}
        numbered = (f"{plain} cold {k}" for k in range(1, len(taken) + 2))
        return next(one for one in numbered if one not in taken)


def _warnings(untexted: int, could: Allocation) -> tuple[str, ...]:
    said = []
    if untexted:
        said.append(
            f"{untexted:,} anchors have no text here, so nobody can read them: the draw is of the others"
        )
    if could.coarser:
        said.append("there are more systems and strata than draws, so not every one of them is drawn from")
    return tuple(said)


def _why_nothing(untexted: int) -> str:
    if untexted:
        return (
            f"the texts of all {untexted:,} anchors are not known here, so nobody can read them: send"
            " `prompt` and `answer` with the human grades"
        )
    return "nothing in the set can be shown to a person: a list needs 2 to 10 answers to one item"
