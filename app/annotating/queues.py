"""Queues as whoever runs them sees them: made, filled, watched, closed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from app.anchoring.ingest import rubric_or_refuse
from app.annotating.candidates import Candidates, candidates_of
from app.annotating.choice import choose, why
from app.annotating.progress import Disagreement, Progress, by_items, disagreements, progress
from app.annotating.source import source_of
from app.domain.annotation import SHOWN_TOGETHER, NewItem, Queue, QueueItem, Regrade
from app.domain.model_names import source_is_a_model
from app.domain.problems import BadInput, Conflict, NotFound, Problem
from app.domain.projects import Project
from app.reporting.quality_report import Quality
from app.stats.label_choice import LEAST_UNIFORM
from app.storage import anchors, annotation_queues, annotations
from app.storage.database import Database
from app.storage.item_texts import load_texts

MOST_ITEMS = 5_000
"""Of one queue: more than a team grades before it wants another."""
DOUBLE_SHARE = 0.2
"""Of drawn items that two people grade: without them people's noise cannot be told from the judges'."""


@dataclass(frozen=True, slots=True)
class NamedItem:
    """An item to be graded by its own id and the systems whose answers are to be shown."""

    item_id: str
    systems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw put into a queue. ``population`` units could have come, ``doubles`` are for two people.

    ``untexted`` units could not, since their texts are not known. ``seed`` repeats the draw.
    """

    items: int
    doubles: int
    population: int
    untexted: int
    seed: int
    by_system: tuple[tuple[str, int], ...]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Queues:
    """The queues of all projects; ``seed`` gives a new seed for each draw."""

    db: Database
    quality: Quality
    seed: Callable[[], int]
    now: Callable[[], datetime] = _utc_now

    async def create(
        self,
        project: Project,
        *,
        name: str,
        rubric: str,
        anchor_set: str,
        guidance: str = "",
        regrade: Regrade | None = None,
    ) -> Queue:
        """A new queue under the rubric as it is now; with ``regrade`` its grades never become anchors.

        Raises
        ------
        NotFound
            If there is no such rubric.
        Conflict
            If the project has a queue of that name, or the anchor set belongs to another rubric.
        BadInput
            If the name, which its anchors carry as their source, names a model.
        """
        if regrade is None and (model := source_is_a_model(source_of(name))) is not None:
            wording = f"its anchors would look as if {model!r} had graded them"
            raise BadInput("choose another name", [Problem(wording, path="name", value=name)])
        version = await rubric_or_refuse(self.db, project, rubric)
        standing = await anchors.anchor_set_versions(self.db, project.id, anchor_set)
        if standing and standing[0].rubric != rubric:
            raise Conflict(f"the anchor set {anchor_set!r} belongs to the rubric {standing[0].rubric!r}")
        made = await annotation_queues.create_queue(
            self.db,
            project.id,
            name=name,
            rubric=version,
            anchor_set=anchor_set,
            guidance=guidance,
            regrade=regrade,
            now=self.now(),
        )
        if made is None:
            raise Conflict(f"there is a queue {name!r} already")
        return made

    async def get(self, project: Project, name: str) -> Queue:
        """The queue of that name, or NotFound."""
        found = await annotation_queues.find_queue(self.db, project.id, name)
        if found is None:
            raise NotFound("annotation queue", name)
        return found

    async def list(self, project: Project) -> tuple[Queue, ...]:
        """The project's queues, the newest first."""
        return await annotation_queues.list_queues(self.db, project.id)

    async def progress(self, queue: Queue) -> Progress:
        """How far it is."""
        items = await annotation_queues.queue_items(self.db, queue)
        said = await annotations.annotations_of(self.db, queue)
        return progress(queue.rubric.rubric, items, said)

    async def disagreements(self, queue: Queue) -> tuple[Disagreement, ...]:
        """Items on which people are apart, settled ones included."""
        items = await annotation_queues.queue_items(self.db, queue)
        said = by_items(await annotations.annotations_of(self.db, queue))
        return disagreements(queue.rubric.rubric, items, said)

    async def questions(self, items: Sequence[QueueItem]) -> Mapping[int, str]:
        """What these items ask, by their ids."""
        texts = await load_texts(self.db, [one.answer_ids[0] for one in items])
        return {one.id: texts.items[one.item_id].prompt or "" for one in items}

    async def set_open(self, queue: Queue, open: bool) -> Queue:
        """Let people grade in it, or no longer."""
        await annotation_queues.set_queue_open(self.db, queue, open)
        return replace(queue, open=open)

    async def add(self, project: Project, queue: Queue, named: Sequence[NamedItem], graders: int) -> int:
        """Put items that somebody names into the queue; all or none. Returns how many are new.

        Their grades carry no chance of being drawn: they were chosen.

        Raises
        ------
        BadInput
            With every item that is not known, or whose texts are not.
        Conflict
            If the queue holds what was drawn from an anchor set.
        """
        refuse_cold(queue)
        known = await annotation_queues.answers_by_name(self.db, project.id, [one.item_id for one in named])
        least, most = SHOWN_TOGETHER[queue.kind]
        new, problems = [], []
        for k, one in enumerate(named):
            if not least <= len(set(one.systems)) == len(one.systems) <= most:
                wording = f"needs {least if least == most else f'{least} to {most}'} different systems"
                problems.append(Problem(wording, path=f"items[{k}].systems", value=list(one.systems)))
                continue
            answers = [known.get((one.item_id, system), ()) for system in one.systems]
            for j, found in enumerate(answers):
                if len(found) != 1:
                    wording = "no text of this answer is known" if not found else "has several texts here"
                    problems.append(Problem(wording, path=f"items[{k}].systems[{j}]", value=one.systems[j]))
            if all(len(found) == 1 for found in answers):
                item = answers[0][0][0]
                new.append(NewItem(item, tuple(found[0][1] for found in answers), graders, why=("by hand",)))
        if problems:
            raise BadInput("nothing was added: some items cannot be shown", problems)
        await self._refuse_overfull(queue, len(new))
        return await annotation_queues.add_items(
            self.db, project.id, queue, new, population=None, now=self.now()
        )

    async def draw(
        self,
        project: Project,
        queue: Queue,
        *,
        count: int,
        criterion: str | None = None,
        uniform_share: float = LEAST_UNIFORM,
        double_share: float = DOUBLE_SHARE,
        seed: int | None = None,
    ) -> Drawn:
        """Draw items that a human grade is worth most for, at least half of them evenly, and log the chances.

        Raises
        ------
        BadInput
            If there is nothing to draw from, with what would help.
        Conflict
            If the queue holds what was drawn from an anchor set.
        """
        refuse_cold(queue)
        refuse_bad_shares(uniform_share, double_share)
        seed = self.seed() if seed is None else seed
        rng = np.random.default_rng(seed)
        rubric = queue.rubric.rubric
        about = criterion or rubric.criteria[0].name
        if about not in {one.name for one in rubric.criteria}:
            raise NotFound("criterion", about)
        await self._refuse_overfull(queue, count)
        could, untexted, items_of = await self.candidates(project, queue, about)
        if not len(could):
            raise BadInput("there is nothing to draw", [Problem(_why_nothing(untexted), path="grades")])
        chosen = await asyncio.to_thread(choose, could, min(count, len(could)), uniform_share, rng)
        double = rng.random(chosen.size).argsort() < round(double_share * chosen.size)
        new = [
            NewItem(
                item_id=items_of[could.answer_ids[k][0]],
                answer_ids=could.answer_ids[k],
                wanted=2 if twice else 1,
                relative_chance=float(chance),
                why=why(could, int(k)),
            )
            for k, twice, chance in zip(chosen.row, double, chosen.relative, strict=True)
        ]
        added = await annotation_queues.add_items(
            self.db, project.id, queue, new, population=len(could), now=self.now()
        )
        counts = np.bincount(could.group[chosen.row], minlength=len(could.systems))
        return Drawn(
            items=added,
            doubles=int(double.sum()),
            population=len(could),
            untexted=untexted,
            seed=seed,
            by_system=tuple((name, int(n)) for name, n in zip(could.systems, counts, strict=True) if n),
        )

    async def candidates(
        self, project: Project, queue: Queue, criterion: str
    ) -> tuple[Candidates, int, dict[int, int]]:
        """What could be drawn, how many units lack their texts, and the item of every answer."""
        name = queue.rubric.rubric.name
        units, _ = await self.quality.units(project.id, name, criterion)
        standing = frozenset(one.answer_ids for one in await annotation_queues.queue_items(self.db, queue))
        could = await asyncio.to_thread(candidates_of, units.frame, queue.kind, standing)
        ids = list({answer for many in could.answer_ids for answer in many})
        items_of = await annotation_queues.answers_with_texts(self.db, ids)
        kept = [k for k, many in enumerate(could.answer_ids) if all(one in items_of for one in many)]
        return could.only(kept), len(could) - len(kept), items_of

    async def _refuse_overfull(self, queue: Queue, more: int) -> None:
        standing = len(await annotation_queues.queue_items(self.db, queue))
        if standing + more > MOST_ITEMS:
            wording = f"a queue holds at most {MOST_ITEMS:,} items, and {standing:,} are in it"
            raise BadInput("the queue would be too long", [Problem(wording, path="grades", value=more)])


def refuse_cold(queue: Queue) -> None:
    """Raise `Conflict` if a queue's items were drawn from an anchor set: others would spoil their chances."""
    if queue.regrade is not None:
        raise Conflict(f"the queue {queue.name!r} holds the anchors that were drawn for it, and no others")


def refuse_bad_shares(uniform_share: float, double_share: float) -> None:
    """Raise BadInput unless the shares keep estimates valid and people's noise known."""
    problems = []
    if not LEAST_UNIFORM <= uniform_share <= 1:
        wording = f"must lie between {LEAST_UNIFORM} and 1, or estimates would hang on what was guessed"
        problems.append(Problem(wording, path="uniform_share", value=uniform_share))
    if not 0 <= double_share <= 1:
        problems.append(Problem("must lie between 0 and 1", path="double_share", value=double_share))
    if problems:
        raise BadInput("items cannot be drawn like this", problems)


def _why_nothing(untexted: int) -> str:
    if untexted:
        return (
            f"the texts of {untexted:,} answers are not known here, so nobody can read them: send `prompt` "
            "and `answer` with the verdicts, or grade them here"
        )
    return "every answer that judges have seen is graded or in the queue; grade or import more answers first"
