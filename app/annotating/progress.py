"""How far a queue is, how long an item takes, and where people disagree."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from app.domain.annotation import Annotation, Annotator, QueueItem, State
from app.domain.rubrics import Rubric, RubricKind, Scale

TOLERANCE = 0.25
"""Share of the scale that two people may be apart before somebody should look at it."""


@dataclass(frozen=True, slots=True)
class PersonProgress:
    """One person's part. ``seconds`` is the median time of an item, None without any."""

    annotator: Annotator
    done: int
    skipped: int
    open: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A queue as it stands.

    ``wanted`` grades of ``items`` items, of which ``doubles`` by two people; ``done`` grades are in,
    ``finished`` items have all theirs. ``disagreements`` are open ones. ``seconds`` is the median time per
    item over everyone, None without any.
    """

    items: int
    wanted: int
    doubles: int
    done: int
    finished: int
    skipped: int
    disagreements: int
    adjudicated: int
    seconds: float | None
    people: tuple[PersonProgress, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An item on which independent graders are apart; ``criteria`` on which, ``settled`` once adjudicated."""

    item: QueueItem
    grades: tuple[Annotation, ...]
    criteria: tuple[str, ...]
    settled: Annotation | None


def progress(rubric: Rubric, items: Sequence[QueueItem], said: Iterable[Annotation]) -> Progress:
    """Count."""
    by_item = by_items(said)
    graders = [one for many in by_item.values() for one in many if not one.adjudicates]
    done = [one for one in graders if one.state is State.DONE]
    apart = disagreements(rubric, items, by_item)
    finished = [
        item
        for item in items
        if sum(one.state is State.DONE and not one.adjudicates for one in by_item.get(item.id, ()))
        >= item.wanted
    ]
    return Progress(
        items=len(items),
        wanted=sum(item.wanted for item in items),
        doubles=sum(item.wanted > 1 for item in items),
        done=len(done),
        finished=len(finished),
        skipped=sum(one.state is State.SKIPPED for one in graders),
        disagreements=sum(one.settled is None for one in apart),
        adjudicated=sum(one.settled is not None for one in apart),
        seconds=median(one.seconds for one in done) if done else None,
        people=_people(graders),
    )


def by_items(said: Iterable[Annotation]) -> Mapping[int, tuple[Annotation, ...]]:
    """Annotations by the item they are of."""
    found: dict[int, list[Annotation]] = defaultdict(list)
    for one in said:
        found[one.queue_item_id].append(one)
    return {key: tuple(many) for key, many in found.items()}


def disagreements(
    rubric: Rubric, items: Sequence[QueueItem], by_item: Mapping[int, tuple[Annotation, ...]]
) -> tuple[Disagreement, ...]:
    """Items whose independent grades are more than `TOLERANCE` of the scale apart (pairs: differ at all)."""
    found = []
    for item in items:
        said = [one for one in by_item.get(item.id, ()) if one.state is State.DONE]
        grades = tuple(one for one in said if not one.adjudicates)
        apart = tuple(one.name for one in rubric.criteria if _apart(rubric, one.name, grades))
        if apart:
            settled = next((one for one in said if one.adjudicates), None)
            found.append(Disagreement(item, grades, apart, settled))
    return tuple(found)


def _apart(rubric: Rubric, criterion: str, grades: Sequence[Annotation]) -> bool:
    said = [one.scores.get(criterion, ()) for one in grades]
    together = zip(*said, strict=True) if len(said) > 1 else ()
    room = _tolerated(rubric, rubric.criterion(criterion).scale)
    for values in together:
        known = [value for value in values if value is not None]
        if known and max(known) - min(known) > room + 1e-9:
            return True
    return False


def _tolerated(rubric: Rubric, scale: Scale) -> float:
    return 0.0 if rubric.kind is RubricKind.PAIRWISE else TOLERANCE * (scale.high - scale.low)


def _people(said: Sequence[Annotation]) -> tuple[PersonProgress, ...]:
    people: dict[int, list[Annotation]] = defaultdict(list)
    for one in said:
        people[one.annotator.id].append(one)
    rows = [_person(mine) for mine in people.values()]
    return tuple(sorted(rows, key=lambda one: (-one.done, one.annotator.name)))


def _person(mine: Sequence[Annotation]) -> PersonProgress:
    done = [one.seconds for one in mine if one.state is State.DONE]
    return PersonProgress(
        annotator=mine[0].annotator,
        done=len(done),
        skipped=sum(one.state is State.SKIPPED for one in mine),
        open=sum(one.state is State.OPEN for one in mine),
        seconds=median(done) if done else None,
    )
