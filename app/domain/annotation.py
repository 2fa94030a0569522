"""Grading by people: queues of answers, and what each person said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from unicodedata import category, normalize

from app.domain.rubrics import RubricKind, RubricVersion

SKIP_REASONS = {
    "cannot_judge": "I cannot judge this",
    "unreadable": "The text is unreadable, empty or in a language I do not read",
    "rubric_does_not_fit": "The rubric does not fit this question",
    "knows_the_answer_is_mine": "I wrote this, or I know who did",
    "other": "Another reason (say it in the note)",
}
"""Why a person may leave an item ungraded, with the words on the page."""

SHOWN_TOGETHER = {RubricKind.POINTWISE: (1, 1), RubricKind.PAIRWISE: (2, 2), RubricKind.LISTWISE: (2, 10)}
"""The fewest and the most answers that stand before a person at once."""

Scores = Mapping[str, tuple[float | None, ...]]
"""Criterion -> one value per answer, in the item's own order; for a pair one value: 1, 0 or -1.

A draft may have None where nothing is said yet."""


class State(StrEnum):
    """What became of an item that was shown to a person."""

    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Annotator:
    """A person who grades."""

    id: int
    name: str
    type: str

    @property
    def spelled(self) -> str:
        """The name as `spelled` compares it."""
        return spelled(self.name)


def spelled(name: str) -> str:
    """A name without what does not tell people apart: case, kinds and number of blanks, and how its accents
    are encoded."""
    seen = "".join(one for one in normalize("NFKC", name) if category(one) != "Cf")
    return " ".join(normalize("NFKC", seen.casefold()).split())


@dataclass(frozen=True, slots=True)
class Regrade:
    """Anchors that were drawn to be graded once more, cold: by people who know nothing of them.

    ``version`` of the anchor set they were drawn from; ``stratum`` names what they were drawn by beside
    systems, if anything; ``seed`` repeats the draw.
    """

    version: int
    stratum: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Queue:
    """A list of answers for people to grade under one version of a rubric.

    What they say becomes anchors of the set ``anchor_set``; with a ``regrade`` it never does, and is held
    against the grades that stand there. ``guidance`` is shown beside the rubric.
    """

    id: int
    name: str
    rubric: RubricVersion
    anchor_set: str
    guidance: str
    open: bool
    created_at: datetime
    regrade: Regrade | None = None

    @property
    def kind(self) -> RubricKind:
        return self.rubric.rubric.kind


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item on its way into a queue: one answer, a pair, or a list, by their ids.

    ``wanted`` is how many different people are to grade it. ``relative_chance`` is the chance with which
    the batch drew it over the mean chance in that batch; None where it was named by hand. ``why`` says in
    words what speaks for it.
    """

    item_id: int
    answer_ids: tuple[int, ...]
    wanted: int = 1
    relative_chance: float | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueItem:
    """An item of a queue."""

    id: int
    item_id: int
    answer_ids: tuple[int, ...]
    wanted: int
    relative_chance: float | None
    population: int | None
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person said of one item; ``shown`` is the order in which they saw its answers.

    ``seconds`` is how long it was before their eyes. ``adjudicates`` marks a person who settled a
    disagreement, and therefore saw the others' grades.
    """

    queue_item_id: int
    annotator: Annotator
    state: State
    adjudicates: bool
    shown: tuple[int, ...]
    scores: Scores = field(default_factory=dict)
    note: str = ""
    skip_reason: str | None = None
    seconds: float = 0.0
    opened_at: datetime | None = None
    saved_at: datetime | None = None
    submitted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A person may grade in one queue, by a key that can do nothing else. ``key_id`` names the key."""

    key_id: int
    queue: str
    annotator: Annotator
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def chances_of(items: Sequence[QueueItem]) -> dict[int, float]:
    """Per drawn item the chance of being in the queue at all.

    Each batch b of n_b draws logged r = chance / mean chance. Weighting by 1 / r gives every batch an
    unbiased mean, and all of them together the mean of these with weights n_b / n: a combination that is
    unbiased too. So one chance serves all batches, r n / N, where N is the first batch's population.
    """
    drawn = [one for one in items if one.relative_chance is not None and one.population]
    if not drawn:
        return {}
    population = max(one.population or 0 for one in drawn)
    share = len(drawn) / population
    # A factor that all chances share says nothing, so one that would exceed 1 takes all down with it.
    most = max(one.relative_chance or 0.0 for one in drawn) * share
    return {one.id: (one.relative_chance or 0.0) * share / max(most, 1.0) for one in drawn}


def turned(scores: Scores, kind: RubricKind, shown: Sequence[int], *, to_shown: bool) -> Scores:
    """Scores in the item's own order as the person saw them, or back.

    ``shown[k]`` is the place, in the item's own order, of the answer that stands k-th before the person.
    """
    if kind is RubricKind.PAIRWISE:
        sign = 1.0 if tuple(shown) == (0, 1) else -1.0
        return {
            name: tuple(None if value is None else sign * value + 0.0 for value in values)
            for name, values in scores.items()
        }
    if to_shown:
        return {name: tuple(values[k] for k in shown) for name, values in scores.items()}
    place = {own: k for k, own in enumerate(shown)}
    return {name: tuple(values[place[k]] for k in range(len(shown))) for name, values in scores.items()}
