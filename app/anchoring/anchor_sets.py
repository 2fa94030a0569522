"""One anchor set as people look at it: its versions, who and what it is made of, and what changed."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.anchoring.ingest import Anchors
from app.domain.anchors import AnchorSetVersion
from app.domain.problems import NotFound
from app.domain.projects import Project
from app.storage.anchor_content import AnchorMember, anchor_members, note_export
from app.storage.anchor_makeup import AnnotatorShare, Makeup, anchor_makeup
from app.storage.anchor_texts import AnchorGrade, anchor_grades

__all__ = [
    "AnchorGrade",
    "AnchorMember",
    "AnchorSet",
    "AnnotatorShare",
    "Change",
    "ChangeKind",
    "Difference",
    "Makeup",
    "anchor_set",
    "difference",
    "export",
    "version_of",
]


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """``versions`` newest first; ``makeup`` of the newest."""

    versions: tuple[AnchorSetVersion, ...]
    makeup: Makeup


async def anchor_set(anchors: Anchors, project: Project, name: str) -> AnchorSet:
    """The set of that name; NotFound if there is none."""
    versions = await anchors.versions(project, name)
    return AnchorSet(versions, await anchor_makeup(anchors.db, project.id, name))


class ChangeKind(StrEnum):
    """What happened to a grade between two versions."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Change:
    """One person's grade of one answer (or pair) on one criterion, in two versions; None where it is not.

    A change that leaves the value alone is one of its provenance: source, time, blind, chance.
    """

    kind: ChangeKind
    grade: AnchorGrade
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """From one version of a set to another: every change, the changed first, then the removed, the added."""

    before: AnchorSetVersion
    after: AnchorSetVersion
    changes: tuple[Change, ...]

    def count(self, kind: ChangeKind) -> int:
        """How many changes are of this kind."""
        return sum(1 for one in self.changes if one.kind is kind)

    def only(
        self,
        *,
        kind: ChangeKind | None = None,
        criterion: str | None = None,
        annotator: str | None = None,
        item: str | None = None,
    ) -> tuple[Change, ...]:
        """The changes that fit; ``item`` is a part of its id."""
        return tuple(
            one
            for one in self.changes
            if (kind is None or one.kind is kind)
            and (not criterion or one.grade.criterion == criterion)
            and (not annotator or one.grade.annotator == annotator)
            and (not item or item in one.grade.item)
        )


async def version_of(anchors: Anchors, project: Project, name: str, number: int | None) -> AnchorSetVersion:
    """One version of a set, the newest for None; NotFound if there is none such."""
    versions = await anchors.versions(project, name)
    if number is None:
        return versions[0]
    found = next((one for one in versions if one.version == number), None)
    if found is None:
        raise NotFound(f"version of the anchor set {name!r} with the number", str(number))
    return found


async def difference(anchors: Anchors, project: Project, name: str, before: int, after: int) -> Difference:
    """What version ``after`` has that ``before`` has not, and the other way round.

    Raises
    ------
    NotFound
        If there is no such set or version.
    """
    first, second = [await version_of(anchors, project, name, one) for one in (before, after)]
    old, new = [
        {_about(one): one for one in await anchor_grades(anchors.db, project.id, name, version=v, but_not=w)}
        for v, w in ((before, after), (after, before))
    ]
    return Difference(first, second, tuple(sorted(_changes(old, new), key=_place)))


async def export(anchors: Anchors, project: Project, name: str, version: int) -> AsyncIterator[AnchorMember]:
    """Every member of a set at a version with its texts; that it left the service is put on record first."""
    await note_export(anchors.db, project.id, name, version=version, what="export", now=anchors.now())
    after: int | None = 0
    while after is not None:
        members, after = await anchor_members(anchors.db, project.id, name, version, after)
        for one in members:
            yield one


_About = tuple[int, int | None, str, str, str]


def _about(grade: AnchorGrade) -> _About:
    people = (grade.annotator, grade.annotator_type)
    return (grade.answer_id, grade.other_answer_id, grade.criterion, *people)


def _changes(old: dict[_About, AnchorGrade], new: dict[_About, AnchorGrade]) -> Iterator[Change]:
    for key, one in new.items():
        earlier = old.get(key)
        if earlier is None:
            yield Change(ChangeKind.ADDED, one, None, one.value)
        else:
            yield Change(ChangeKind.CHANGED, one, earlier.value, one.value)
    for key, one in old.items():
        if key not in new:
            yield Change(ChangeKind.REMOVED, one, one.value, None)


def _place(one: Change) -> tuple[int, str, str, str, str, str, int]:
    grade = one.grade
    about = (grade.item, grade.system, grade.other_system or "", grade.criterion, grade.annotator)
    return (list(ChangeKind).index(one.kind), *about, grade.id)
