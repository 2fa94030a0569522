"""One anchor set as people look at it: its versions, and who and what it is made of."""

from dataclasses import dataclass

from app.anchoring.ingest import Anchors
from app.domain.anchors import AnchorSetVersion
from app.domain.problems import NotFound
from app.domain.projects import Project
from app.storage.anchor_makeup import AnnotatorShare, Makeup, anchor_makeup
from app.storage.anchor_texts import AnchorGrade, anchor_grades

__all__ = [
    "AnchorGrade",
    "AnchorSet",
    "AnnotatorShare",
    "Difference",
    "Makeup",
    "anchor_set",
    "difference",
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


@dataclass(frozen=True, slots=True)
class Difference:
    """From one version of a set to another. ``changed`` are (before, after) of the same person's grade."""

    added: tuple[AnchorGrade, ...]
    removed: tuple[AnchorGrade, ...]
    changed: tuple[tuple[AnchorGrade, AnchorGrade], ...]


async def difference(anchors: Anchors, project: Project, name: str, before: int, after: int) -> Difference:
    """What version ``after`` has that ``before`` has not, and the other way round.

    Raises
    ------
    NotFound
        If there is no such set or version.
    """
    known = {one.version for one in await anchors.versions(project, name)}
    for version in (before, after):
        if version not in known:
            raise NotFound(f"version of the anchor set {name!r} with the number", str(version))
    old, new = [
        {_about(one): one for one in await anchor_grades(anchors.db, project.id, name, version=version)}
        for version in (before, after)
    ]
    both = [(old[key], new[key]) for key in old.keys() & new.keys() if old[key].id != new[key].id]
    return Difference(
        added=tuple(one for key, one in new.items() if key not in old),
        removed=tuple(one for key, one in old.items() if key not in new),
        changed=tuple(sorted(both, key=lambda pair: (pair[1].item, pair[1].annotator))),
    )


def _about(grade: AnchorGrade) -> tuple[int, int | None, str, str, str]:
    people = (grade.annotator, grade.annotator_type)
    return (grade.answer_id, grade.other_answer_id, grade.criterion, *people)
