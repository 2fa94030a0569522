"""What an audit is given to work with, and what it gives back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from app.auditing.nearest import Document
from app.domain.audits import Audit, Findings
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.judges.roster import Roster
from app.storage.database import Database


class Parameters(BaseModel):
    """What may be asked of a kind of audit; fields that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Likeness(Protocol):
    """A model that puts texts of like meaning near each other."""

    @property
    def name(self) -> str:
        """Which model, for the record."""
        ...

    async def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) vectors of length 1."""
        ...


class ReadDocuments(Protocol):
    """Turns a file into the texts in it; BadInput where it cannot be read or has no such column."""

    def __call__(self, file: BinaryIO, columns: Sequence[str] | None) -> Iterator[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What every audit may use."""

    db: Database
    roster: Roster
    documents: ReadDocuments
    likeness: Likeness | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One audit as it was asked for; ``file`` stays open while it runs."""

    project: Project
    audit: Audit
    rubric: RubricVersion
    parameters: Any
    file: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``put_aside``: item ids to quarantine, each with why, found against ``cause``."""

    findings: Findings
    put_aside: Mapping[int, str] = field(default_factory=dict)
    cause: str = ""


def documents_of(pairs: Iterator[tuple[str, str]]) -> Iterator[Document]:
    """Named texts as documents."""
    return (Document(name, text) for name, text in pairs)
