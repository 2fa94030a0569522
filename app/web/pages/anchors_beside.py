"""Anchors that read like an answer, beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auditing.similar_anchors import SimilarAnchor
from app.web.pages.addresses import answer_url
from app.web.pages.tables import DataTable
from app.web.pages.words import counted, number, percent


@dataclass(frozen=True, slots=True)
class AnchorLine:
    """One anchor; ``grades`` are (criterion, what people gave)."""

    item: str
    href: str
    systems: str
    likeness: str
    prompt: str | None
    texts: tuple[tuple[str, str], ...]
    grades: tuple[tuple[str, str], ...]


def anchor_lines(anchors: Sequence[SimilarAnchor], rubric: str) -> tuple[AnchorLine, ...]:
    """As rows of a table."""
    return tuple(_line(one, rubric) for one in anchors)


def _line(one: SimilarAnchor, rubric: str) -> AnchorLine:
    sides = [(one.system, one.answer)]
    if one.other_system is not None:
        sides.append((one.other_system, one.other_answer))
    return AnchorLine(
        item=one.item,
        href=answer_url(one.answer_id, one.other_answer_id, rubric),
        systems=" against ".join(who for who, _ in sides),
        likeness=percent(one.likeness),
        prompt=one.prompt,
        texts=tuple((who, text) for who, text in sides if text),
        grades=tuple(
            (
                given.criterion,
                (f"{number((1 + given.mean) / 2)} of wins" if one.other_system else number(given.mean))
                + f" ({counted(given.grades, 'grade')}{', simulated' if given.simulated else ''})",
            )
            for given in one.grades
        ),
    )


def anchor_table(anchors: Sequence[SimilarAnchor]) -> DataTable:
    """As a file: a row per anchor and criterion."""
    columns = (
        *("answer_id", "other_answer_id", "item", "system", "other_system", "likeness", "criterion"),
        *("people", "grades", "simulated"),
    )
    rows = [
        (
            *(one.answer_id, one.other_answer_id, one.item, one.system, one.other_system, one.likeness),
            *(given.criterion, given.mean, given.grades, given.simulated),
        )
        for one in anchors
        for given in one.grades
    ]
    return DataTable("anchors", columns, rows)
