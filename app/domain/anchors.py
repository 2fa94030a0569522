"""What people said: human verdicts with their provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

SIMULATED_PEOPLE = "simulated"
"""The annotator type of people that a simulation made up. They measure nothing but simulated judges."""


SETTLING = ", settling a disagreement"
"""How the source of a grade ends whose giver saw others' grades here, but neither systems nor scores."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who graded, when, from which source, and how the anchor was chosen.

    ``inclusion_probability`` is the chance with which this answer was drawn to be graded;
    None where it was not logged. ``blind`` says that the annotator saw neither systems nor model scores.
    """

    annotator: str
    annotator_type: str
    graded_at: datetime | None = None
    source: str | None = None
    blind: bool | None = None
    inclusion_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which texts a verdict is about, by the caller's names.

    Without an ``item_id`` the item is named by its texts, of which ``prompt`` is then set.
    For a pairwise verdict ``other_system`` is set, and ``system`` is the one shown first (for
    imported judge verdicts) or named first (for human ones).
    """

    item_id: str | None
    system: str
    other_system: str | None = None
    system_family: str | None = None
    other_family: str | None = None
    answer: str | None = None
    other_answer: str | None = None
    prompt: str | None = None
    context: str | None = None
    reference: str | None = None
    len_words: int | None = None
    other_len_words: int | None = None
    strata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HumanVerdict:
    """One person's value for one answer (or pair) on one criterion.

    ``value`` is on the criterion's own scale; for a pair +1 (``system`` wins), 0 (tie) or -1
    (fractions of a graded preference are allowed).
    """

    about: Pairing
    criterion: str
    value: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """One judge's value, recorded elsewhere and brought in; ``unscored`` where it gave none.

    ``draw`` counts repeats of the same question, from 1. ``order`` 1 is the canonical order, 2 the
    swapped one. ``value`` is as in `HumanVerdict`, with ``about.system`` the one shown first.
    """

    about: Pairing
    criterion: str
    judge: str
    judge_family: str
    value: float | None
    unscored: str | None = None
    judge_params: str = "{}"
    draw: int = 1
    order: int | None = None
    graded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AnchorSetVersion:
    """An anchor set as it was at one version; versions never change.

    ``items``, ``grades`` and ``annotators`` count the whole set at this version, ``added`` and
    ``removed`` what changed from its parent (a changed grade counts as both). ``sha256`` is of the
    file it was made from, ``content_sha256`` of its members (see `storage.anchor_content.content_hash`).
    """

    anchor_set: str
    rubric: str
    version: int
    items: int
    grades: int
    annotators: int
    sha256: str
    created_at: datetime
    parent: int | None = None
    added: int = 0
    removed: int = 0
    warnings: tuple[str, ...] = ()
    content_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Retirement:
    """What left a set, or would leave it: distinct ``items`` and people, and their ``grades``.

    ``unknown`` are names that nothing in the set has.
    """

    grades: int
    items: int
    annotators: int
    unknown: tuple[str, ...]


class AnchorSetOfAnotherRubric(Exception):
    """An anchor set belongs to one rubric, and this one belongs to another than asked."""

    def __init__(self, anchor_set: str, rubric: str, asked: str) -> None:
        super().__init__(f"the anchor set {anchor_set!r} belongs to the rubric {rubric!r}, not to {asked!r}")
        self.anchor_set, self.rubric, self.asked = anchor_set, rubric, asked
