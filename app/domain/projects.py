"""Projects and the keys that open them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do."""

    GRADE = "grade"
    ANCHORS = "anchors"
    READ = "read"
    ADMIN = "admin"
    ANNOTATE = "annotate"
    """Grade in the one queue that an invitation names, and nothing else."""


@dataclass(frozen=True, slots=True)
class PanelPolicy:
    """A project's standing rules for panels.

    ``min_families`` below 3 is allowed, but every report then says so.
    """

    min_families: int = 3
    forbid_own_model: bool = True
    exclude_own_family: bool = False


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """What all calls for a project may take of the providers together in a minute; None: no limit.

    What they may cost in a day is its budget of the day.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Whose rows these are."""

    id: int
    name: str
    policy: PanelPolicy = field(default_factory=PanelPolicy)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: never its secret."""

    id: int
    project: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
