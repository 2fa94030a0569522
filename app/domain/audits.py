"""Audits of what people said and of how judges hear it: what was asked, what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class AuditKind(StrEnum):
    """The four questions."""

    PROVENANCE = "provenance"  # did a person ever verify this grade?
    OVERLAP = "overlap"  # has a model seen this anchor?
    DISAGREEMENT = "disagreement"  # would another person, cold, grade alike?
    INVARIANCE = "invariance"  # does a judge say the same when nothing but the form changes?


class AuditStatus(StrEnum):
    """Where an audit stands."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # the data cannot answer; the summary says what it would take
    FAILED = "failed"


class AuditVerdict(StrEnum):
    """What a finished audit says; ``open`` where the interval holds both answers."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval. ``estimate`` and ``interval`` are None where the data do not tell it.

    ``n`` counts what ``of`` names (``answers``); ``note`` says what the number is, or why there is none.
    """

    name: str
    estimate: float | None
    interval: tuple[float, float] | None
    n: int
    of: str
    unit: str
    note: str


@dataclass(frozen=True, slots=True)
class AuditTable:
    """Rows behind the numbers. ``total`` counts all there are, where ``rows`` were cut."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    total: int


@dataclass(frozen=True, slots=True)
class TextPair:
    """An anchor's text beside a text that is like it. ``measure``: exact, near or alike; texts are cut."""

    item: str
    field: str
    document: str
    measure: str
    similarity: float
    anchor_text: str
    other_text: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What an audit found. ``summary`` says it in a sentence; ``pairs`` only of an overlap audit."""

    verdict: AuditVerdict
    summary: str
    estimates: tuple[Estimate, ...] = ()
    tables: tuple[AuditTable, ...] = ()
    pairs: tuple[TextPair, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit. ``parameters`` are what was asked, defaults filled in; ``findings`` only once it is done.

    ``anchor_set`` and ``version`` name the anchors it was about, where it was about one set.
    """

    id: int
    kind: AuditKind
    rubric: str
    criterion: str | None
    anchor_set: str | None
    version: int | None
    status: AuditStatus
    parameters: Mapping[str, Any] = field(default_factory=dict)
    findings: Findings | None = None
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An anchor that an audit put aside: its grades count for nothing until a person decides.

    ``decision`` is None while nobody has; ``keep`` lets it back in, ``retire`` took it out of its set.
    """

    id: int
    anchor_set: str
    item: str
    audit_id: int
    reason: str
    decision: str | None
    note: str | None
    created_at: datetime
    decided_at: datetime | None
