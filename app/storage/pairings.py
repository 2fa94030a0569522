"""What an uploaded verdict is about, put on record: its item and its one or two answers."""

from dataclasses import dataclass

from app.domain.anchors import Pairing
from app.storage.catalog import AnswerRef, Catalog, in_canonical_order


@dataclass(frozen=True, slots=True)
class Placed:
    """The rows a verdict refers to, pairs in canonical order.

    ``sign`` is -1 if the caller named the pair the other way round: its value changes sign.
    """

    item_id: int
    answer: AnswerRef
    other: AnswerRef | None
    sign: int


def place_on_record(catalog: Catalog, about: Pairing) -> Placed:
    """Gather the rows of ``about`` in ``catalog`` and say which they are."""
    item = catalog.item(
        external_id=about.item_id,
        prompt=about.prompt,
        context=about.context,
        reference=about.reference,
        strata=about.strata,
    )
    first = catalog.answer(
        item,
        system=about.system,
        text=about.answer,
        family=about.system_family,
        len_words=about.len_words,
    )
    if about.other_system is None:
        return Placed(item, first, None, 1)
    second = catalog.answer(
        item,
        system=about.other_system,
        text=about.other_answer,
        family=about.other_family,
        len_words=about.other_len_words,
    )
    if in_canonical_order(first, second):
        return Placed(item, first, second, 1)
    return Placed(item, second, first, -1)
