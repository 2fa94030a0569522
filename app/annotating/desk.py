"""The desk at which a person grades: one item at a time, blind, in an order of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from app.annotating.given import incomplete, problems_of
from app.annotating.progress import by_items, disagreements
from app.domain.annotation import (
    SKIP_REASONS,
    Annotation,
    Annotator,
    Queue,
    QueueItem,
    Scores,
    State,
    spelled,
    turned,
)
from app.domain.ids import content_id, show_id
from app.domain.problems import BadInput, Conflict, NotFound, Problem
from app.storage import annotation_queues, annotations
from app.storage.database import Database
from app.storage.earlier_graders import earlier_graders
from app.storage.item_texts import Texts, load_texts

MOST_NOTE = 5_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """What another person said, for whoever settles a disagreement: never by name."""

    scores: Scores
    note: str


@dataclass(frozen=True, slots=True)
class BlindItem:
    """An item as it is put before a person.

    ``answers`` and ``scores`` stand in the order of showing; no system, judge or other person is named.
    ``earlier`` is empty unless the person adjudicates.
    """

    id: int
    queue: Queue
    prompt: str
    context: str | None
    reference: str | None
    answers: tuple[str, ...]
    said: Annotation
    scores: Scores
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Mine:
    """One person's part of a queue: ``left`` items could still be theirs."""

    done: int
    skipped: int
    left: int
    seconds: float


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Desk:
    """Where people grade, in all queues."""

    db: Database
    now: Callable[[], datetime] = _utc_now

    async def next(self, queue: Queue, annotator: Annotator) -> BlindItem | None:
        """What this person should grade now: what they have open, else the next item; None if all is done.

        Anchors that are graded once more, cold, are not for somebody who graded them before.

        Raises
        ------
        Conflict
            If the queue is closed, or this person graded everything in it before.
        """
        refuse_closed(queue)
        known = await self._graded_before(queue, annotator)

        def order(item: QueueItem) -> tuple[int, ...]:
            return drawn_order(item, annotator)

        taken = await annotations.take_item(
            self.db, queue, annotator, order=order, now=self.now(), but_not=known
        )
        if taken is not None:
            return await self._blind(queue, *taken)
        if known and len(known) == len(await annotation_queues.queue_items(self.db, queue)):
            raise Conflict(
                f"{annotator.name} graded all of these answers before, and they are to be graded cold:"
                " ask somebody who has not seen them"
            )
        return None

    async def again(self, queue: Queue, annotator: Annotator, item_id: int) -> BlindItem:
        """An item that this person had before; NotFound if they never had it."""
        refuse_closed(queue)
        item, said = await self._before(queue, annotator, item_id)
        said = await annotations.open_item(
            self.db, queue, annotator, item, order=said.shown, adjudicates=said.adjudicates, now=self.now()
        )
        return await self._blind(queue, item, said)

    async def adjudicate(self, queue: Queue, annotator: Annotator, item_id: int) -> BlindItem:
        """An item on which others disagree, with what they said, for this person to settle.

        Raises
        ------
        Conflict
            If nobody disagrees on it, this person graded it, the queue is closed, or its grades are to be
            cold.
        """
        refuse_closed(queue)
        if queue.regrade is not None:
            raise Conflict("nothing is settled here: whoever saw other grades would not grade cold")
        items = {one.id: one for one in await annotation_queues.queue_items(self.db, queue)}
        said = by_items(await annotations.annotations_of(self.db, queue))
        rubric = queue.rubric.rubric
        apart = {one.item.id: one for one in disagreements(rubric, tuple(items.values()), said)}
        if item_id not in apart:
            raise Conflict("people do not disagree on this item")
        if any(one.annotator.spelled == annotator.spelled for one in apart[item_id].grades):
            raise Conflict("who graded an item cannot settle what others say of it; ask somebody else")
        item = items[item_id]
        order = drawn_order(item, annotator)
        mine = await annotations.open_item(
            self.db, queue, annotator, item, order=order, adjudicates=True, now=self.now()
        )
        return await self._blind(queue, item, mine, apart[item_id].grades)

    async def mine(self, queue: Queue, annotator: Annotator) -> Mine:
        """How far this person is."""
        items = await annotation_queues.queue_items(self.db, queue)
        said = by_items(await annotations.annotations_of(self.db, queue))
        own = [one for many in said.values() for one in many if one.annotator.id == annotator.id]
        same = (one for many in said.values() for one in many if one.annotator.spelled == annotator.spelled)
        had = {one.queue_item_id for one in same if one.state is not State.OPEN}
        had |= await self._graded_before(queue, annotator)
        left = [one for one in items if one.id not in had and _has_room(one, said, annotator)]
        graded = [one for one in own if one.state is State.DONE]
        return Mine(
            done=len(graded),
            skipped=sum(one.state is State.SKIPPED for one in own),
            left=len(left),
            seconds=sum(one.seconds for one in own),
        )

    async def history(self, queue: Queue, annotator: Annotator) -> tuple[BlindItem, ...]:
        """What was before this person in this queue, as they saw it, the newest first."""
        said = await annotations.annotations_of(self.db, queue, annotator)
        items = {one.id: one for one in await annotation_queues.queue_items(self.db, queue)}
        answers = [key for one in said for key in items[one.queue_item_id].answer_ids]
        texts = await load_texts(self.db, answers)
        now = self.now()
        newest = sorted(said, key=lambda one: one.saved_at or one.opened_at or now, reverse=True)
        return tuple(blind(queue, items[one.queue_item_id], one, texts) for one in newest)

    async def save(
        self,
        queue: Queue,
        annotator: Annotator,
        item_id: int,
        *,
        scores: Mapping[str, Sequence[float | None]],
        note: str = "",
        draft: bool = False,
        skip_reason: str | None = None,
    ) -> Annotation:
        """Take what a person says of an item that is before them.

        ``scores`` stand in the order in which the answers were shown. A draft may be incomplete; an item
        that is skipped needs a reason and no scores.

        Raises
        ------
        BadInput
            With everything that is missing or off the scale.
        NotFound
            If the item was never before this person.
        """
        refuse_closed(queue)
        item, said = await self._before(queue, annotator, item_id)
        problems = list(problems_of(queue, len(item.answer_ids), scores, partial=draft or bool(skip_reason)))
        if skip_reason is not None and skip_reason not in SKIP_REASONS:
            wording = f"must be one of {', '.join(SKIP_REASONS)}"
            problems.append(Problem(wording, path="skip_reason", value=skip_reason))
        if skip_reason == "other" and not note.strip():
            problems.append(Problem("say the reason in the note", path="note"))
        if len(note) > MOST_NOTE:
            problems.append(Problem(f"a note may have {MOST_NOTE:,} characters", path="note"))
        if problems:
            raise BadInput("this grade cannot be taken", problems)
        own = turned(
            {name: tuple(values) for name, values in scores.items()}, queue.kind, said.shown, to_shown=False
        )
        state = State.SKIPPED if skip_reason else State.OPEN if draft else State.DONE
        if draft and said.state is not State.OPEN:
            state = said.state  # a grade that was given stays given while it is looked at again
            own = own if not incomplete(queue, own) else said.scores
            skip_reason = said.skip_reason
        return await annotations.save_annotation(
            self.db,
            queue,
            annotator,
            item.id,
            state=state,
            scores=own,
            note=note,
            skip_reason=skip_reason,
            now=self.now(),
        )

    async def _graded_before(self, queue: Queue, annotator: Annotator) -> frozenset[int]:
        """Items of a cold queue whose answers this person graded elsewhere, however spelled or typed."""
        if queue.regrade is None:
            return frozenset()
        graders = await earlier_graders(self.db, queue)
        return frozenset(key for key, names in graders.items() if annotator.spelled in map(spelled, names))

    async def _before(self, queue: Queue, annotator: Annotator, item_id: int) -> tuple[QueueItem, Annotation]:
        said = await annotations.find_annotation(self.db, queue, annotator, item_id)
        items = {one.id: one for one in await annotation_queues.queue_items(self.db, queue)}
        if said is None or item_id not in items:
            raise NotFound("item before you called", show_id("i", item_id))
        return items[item_id], said

    async def _blind(
        self, queue: Queue, item: QueueItem, said: Annotation, grades: Sequence[Annotation] = ()
    ) -> BlindItem:
        return blind(queue, item, said, await load_texts(self.db, item.answer_ids), grades)


def blind(
    queue: Queue, item: QueueItem, said: Annotation, texts: Texts, grades: Sequence[Annotation] = ()
) -> BlindItem:
    """An item as its person sees it; ``grades`` of others are shown to whoever settles them."""
    about = texts.items[item.item_id]
    answers = [texts.answers[key].text or "" for key in item.answer_ids]
    return BlindItem(
        id=item.id,
        queue=queue,
        prompt=about.prompt or "",
        context=about.context,
        reference=about.reference,
        answers=tuple(answers[k] for k in said.shown),
        said=said,
        scores=turned(said.scores, queue.kind, said.shown, to_shown=True),
        earlier=tuple(
            Earlier(turned(one.scores, queue.kind, said.shown, to_shown=True), one.note)
            for one in sorted(grades, key=lambda one: content_id(item.id, one.annotator.id))
        ),
    )


def refuse_closed(queue: Queue) -> None:
    """Raise `Conflict` if a queue takes no grades."""
    if not queue.open:
        raise Conflict(f"the queue {queue.name!r} is closed; nothing can be graded in it")


def drawn_order(item: QueueItem, annotator: Annotator) -> tuple[int, ...]:
    """A random order of an item's answers for one person; the same for both when asked twice."""
    places = list(range(len(item.answer_ids)))
    Random(content_id("order", item.id, annotator.id)).shuffle(places)
    return tuple(places)


def _has_room(item: QueueItem, said: Mapping[int, tuple[Annotation, ...]], annotator: Annotator) -> bool:
    others = [
        one
        for one in said.get(item.id, ())
        if one.annotator.id != annotator.id and one.state is State.DONE and not one.adjudicates
    ]
    return len(others) < item.wanted
