"""What people said becomes anchors: the next version of the queue's anchor set."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from app.anchoring.ingest import Schedule
from app.annotating.progress import by_items
from app.annotating.source import source_of
from app.domain.anchors import (
    SETTLING,
    AnchorSetOfAnotherRubric,
    AnchorSetVersion,
    HumanVerdict,
    Pairing,
    Provenance,
)
from app.domain.annotation import Annotation, Queue, QueueItem, State, chances_of
from app.domain.problems import BadInput, Conflict, Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricKind
from app.storage import anchors, annotation_queues, annotations
from app.storage.anchor_rotations import retired_since
from app.storage.anchor_texts import item_name
from app.storage.database import Database
from app.storage.item_texts import Texts, load_texts


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Published:
    """The anchor set as it stands; ``grades`` of the queue are in it. ``changed``: a new version was made."""

    version: AnchorSetVersion
    grades: int
    changed: bool


@dataclass(slots=True)
class Publishing:
    """Brings grades of queues into anchor sets. ``schedule`` is told which criteria have new anchors."""

    db: Database
    schedule: Schedule | None = None
    now: Callable[[], datetime] = _utc_now

    async def publish(self, project: Project, queue: Queue) -> Published:
        """Every submitted grade of the queue, as the next version of its anchor set.

        Twice changes nothing. Chances are those of the whole queue as it stands, so all of its grades are
        brought in each time; but items that a rotation took out of the set since the queue was made stay
        out. A grade that settled a disagreement is one more grade of its item, marked as not blind.

        Raises
        ------
        BadInput
            If nobody has submitted anything, or all of it was rotated out.
        Conflict
            If the queue's grades are the evidence of an audit.
        """
        if queue.regrade is not None:
            raise Conflict(
                f"the queue {queue.name!r} grades anchors of {queue.anchor_set!r} once more, cold: its grades"
                " are held against those that stand there by a disagreement audit, and change none of them"
            )
        gone = await retired_since(self.db, project.id, queue.anchor_set, queue.created_at)
        items = await annotation_queues.queue_items(self.db, queue)
        said = [one for one in await annotations.annotations_of(self.db, queue) if one.state is State.DONE]
        if not said:
            problem = Problem("no grade has been submitted in this queue yet", path="queue", value=queue.name)
            raise BadInput("there is nothing to publish", [problem])
        texts = await load_texts(self.db, [key for one in items for key in one.answer_ids])
        out = {
            one.id for one in items if item_name(texts.items[one.item_id].external_id, one.item_id) in gone
        }
        said = [one for one in said if one.queue_item_id not in out]
        if not said:
            problem = Problem("all that was graded has been rotated out of the set since", path="queue")
            raise BadInput("there is nothing to publish", [problem])
        verdicts = tuple(human_verdicts(queue, items, said, texts))
        before = next(iter(await anchors.anchor_set_versions(self.db, project.id, queue.anchor_set)), None)
        try:
            after = await anchors.add_anchor_version(
                self.db,
                project.id,
                rubric=queue.rubric,
                name=queue.anchor_set,
                verdicts=verdicts,
                sha256=_digest(queue, verdicts),
                now=self.now(),
            )
        except AnchorSetOfAnotherRubric as error:
            raise Conflict(str(error)) from error
        changed = before is None or after.version > before.version
        if changed and self.schedule is not None:
            criteria = tuple(one.name for one in queue.rubric.rubric.criteria)
            await self.schedule(project, queue.rubric, criteria)
        return Published(after, len(verdicts), changed)


def human_verdicts(
    queue: Queue, items: Sequence[QueueItem], said: Iterable[Annotation], texts: Texts
) -> Iterable[HumanVerdict]:
    """One per person, criterion and answer (or pair)."""
    by_item = by_items(said)
    chances = chances_of(items)
    for item in items:
        for one in by_item.get(item.id, ()):
            by = Provenance(
                annotator=one.annotator.name,
                annotator_type=one.annotator.type,
                graded_at=one.submitted_at,
                source=source_of(queue.name) + (SETTLING if one.adjudicates else ""),
                blind=not one.adjudicates,
                inclusion_probability=chances.get(item.id),
            )
            for criterion in queue.rubric.rubric.criteria:
                for k, value in enumerate(one.scores.get(criterion.name, ())):
                    if value is not None:
                        yield HumanVerdict(_about(queue, item, k, texts), criterion.name, value, by)


def _about(queue: Queue, item: QueueItem, k: int, texts: Texts) -> Pairing:
    about = texts.items[item.item_id]
    pair = queue.kind is RubricKind.PAIRWISE
    first = texts.answers[item.answer_ids[0 if pair else k]]
    other = texts.answers[item.answer_ids[1]] if pair else None
    return Pairing(
        item_id=about.external_id,
        system=first.system,
        other_system=other.system if other else None,
        answer=first.text,
        other_answer=other.text if other else None,
        prompt=about.prompt,
        context=about.context,
        reference=about.reference,
    )


def _digest(queue: Queue, verdicts: Sequence[HumanVerdict]) -> str:
    """What this version was made from, as a file's hash would say."""
    said = sorted(
        json.dumps(
            [
                *(one.about.item_id, one.about.prompt, one.about.system, one.about.other_system),
                *(one.criterion, one.value, one.provenance.annotator),
                *(one.provenance.inclusion_probability, str(one.provenance.graded_at)),
            ]
        )
        for one in verdicts
    )
    return sha256("\n".join((queue.name, *said)).encode("utf-8", "surrogatepass")).hexdigest()
