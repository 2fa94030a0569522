"""One anchor set as people look at it: its versions, and who and what it is made of."""

from dataclasses import dataclass

from app.anchoring.ingest import Anchors
from app.domain.anchors import AnchorSetVersion
from app.domain.projects import Project
from app.storage.anchor_makeup import AnnotatorShare, Makeup, anchor_makeup

__all__ = ["AnchorSet", "AnnotatorShare", "Makeup", "anchor_set"]


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """``versions`` newest first; ``makeup`` of the newest."""

    versions: tuple[AnchorSetVersion, ...]
    makeup: Makeup


async def anchor_set(anchors: Anchors, project: Project, name: str) -> AnchorSet:
    """The set of that name; NotFound if there is none."""
    versions = await anchors.versions(project, name)
    return AnchorSet(versions, await anchor_makeup(anchors.db, project.id, name))
