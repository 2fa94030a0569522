"""A batch of items that the service knows: its lines are made here instead of being sent."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from app.batches.checking import Line
from app.domain.items import Item
from app.domain.judging import PanelRequest
from app.domain.problems import Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricKind
from app.grading.requests import GradeRequest
from app.grading.rubrics import Rubrics
from app.storage.database import Database
from app.storage.known_items import known_items

_BLOCK = 200


@dataclass(frozen=True, slots=True)
class KnownItems:
    """Which items to grade, by the caller's ids, and which systems' answers to them.

    Under a pointwise rubric every answer is a request of its own; of pairs and lists one is made per item,
    of all ``systems`` in their order.
    """

    rubric: str
    item_ids: Sequence[str]
    systems: Sequence[str] | None = None
    panel: PanelRequest = field(default_factory=PanelRequest)
    max_cost_usd: float | None = None
    timeout_s: float = 60.0


async def lines_of(
    db: Database, rubrics: Rubrics, project: Project, wanted: KnownItems
) -> AsyncIterator[Sequence[Line]]:
    """The requests, block by block; line k is the k-th item, with its problem if it cannot be graded."""
    kind = (await rubrics.latest(project, wanted.rubric)).rubric.kind
    for start in range(0, len(wanted.item_ids), _BLOCK):
        ids = wanted.item_ids[start : start + _BLOCK]
        found = await known_items(db, project.id, ids, systems=wanted.systems)
        block: list[Line] = []
        for number, name in enumerate(ids, start + 1):
            item = found.get(name)
            if item is None:
                problem = Problem("there is no such item with a known prompt", path="item_ids", value=name)
                block.append((number, [problem]))
            else:
                block += [(number, one) for one in _requests(item, kind, wanted)]
        yield block


def _requests(item: Item, kind: RubricKind, wanted: KnownItems) -> Sequence[GradeRequest | Sequence[Problem]]:
    by_system = {answer.system: answer for answer in item.answers}
    missing = [name for name in wanted.systems or () if name not in by_system]
    if missing or not by_system:
        names = ", ".join(map(repr, missing)) or "any system"
        wording = f"no answer of {names} with a known text"
        return [[Problem(wording, path="item_ids", value=item.item_id)]]
    answers = [by_system[name] for name in wanted.systems or by_system]
    groups = [(answer,) for answer in answers] if kind is RubricKind.POINTWISE else [tuple(answers)]
    return [
        GradeRequest(
            rubric=wanted.rubric,
            item=replace(item, answers=group),
            panel=wanted.panel,
            max_cost_usd=wanted.max_cost_usd,
            timeout_s=wanted.timeout_s,
        )
        for group in groups
    ]
