"""What is judged: items, the answers to them, and the groups we report by."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """One system's text for an item.

    ``family`` is the lineage of the system if it is an LLM, ``model`` the exact model behind it
    (so that a judge can be kept from grading itself). Neither ever reaches a judge.
    """

    system: str
    text: str
    family: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt with the answers to be judged; the prompt is what answers share and what we cluster by.

    ``item_id`` is the caller's own id; without one, the content names the item.
    """

    prompt: str
    answers: tuple[Answer, ...]
    item_id: str | None = None
    context: str | None = None
    reference: str | None = None
    strata: Mapping[str, str] = field(default_factory=dict)


class ItemConflict(Exception):
    """An item id that already stands for another prompt. ``item_id`` is the caller's own id."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"the item {item_id!r} is known with another prompt")
        self.item_id = item_id
