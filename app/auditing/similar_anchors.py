"""Anchors that read most like an answer, with what people gave them: something to hold a grade against.

Likeness is the cosine of word stems (`nearest`) between prompt and answers together, weighted by how few of
the anchors have a stem. Looked through are `MOST_READ` anchors of the rubric at most: those of the same item
first, then of the same systems, then the newest. Where the answer's text is not known, they are shown in that
order, without a likeness.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.auditing.hashed_words import hash_words
from app.auditing.nearest import Texts
from app.domain.ids import show_id
from app.domain.rubrics import RubricVersion
from app.storage.anchor_texts import item_name
from app.storage.database import Database
from app.storage.graded_answers import GradedAnswer, PeoplesGrade, graded_answers, peoples_grades
from app.storage.item_texts import Texts as KnownTexts
from app.storage.item_texts import load_texts

MOST_READ = 400
SHOWN = 5
LEAST_LIKE = 0.05
_LETTERS = 3_000  # of prompt and of each answer that are compared
_EXCERPT = 300


@dataclass(frozen=True, slots=True)
class SimilarAnchor:
    """An anchor; ``likeness`` in [0, 1], None where it was not compared. Texts are cut to an excerpt."""

    answer_id: str
    other_answer_id: str | None
    item: str
    system: str
    other_system: str | None
    likeness: float | None
    prompt: str | None
    answer: str | None
    other_answer: str | None
    grades: tuple[PeoplesGrade, ...]


async def similar_anchors(
    db: Database,
    project_id: int,
    rubric: RubricVersion,
    *,
    prompt: str | None,
    answers: Sequence[str | None],
    systems: Sequence[str],
    item_ids: Sequence[int] = (),
    but: Sequence[int] = (),
) -> tuple[SimilarAnchor, ...]:
    """The `SHOWN` anchors of ``rubric`` most like ``prompt`` and ``answers``, the likest first.

    Anchors of the answers with the ids ``but`` are left out.
    """
    candidates = await graded_answers(
        db, project_id, rubric, item_ids=item_ids, system_names=systems, most=MOST_READ
    )
    skipped = set(but)
    candidates = tuple(
        one for one in candidates if not ({one.answer_id, one.other_answer_id} - {None} <= skipped)
    )
    ids = [key for one in candidates for key in (one.answer_id, one.other_answer_id) if key is not None]
    known = await load_texts(db, ids)
    asked = _joined(prompt, answers)
    ranked: list[tuple[GradedAnswer, float | None]] = [(one, None) for one in candidates[:SHOWN]]
    if asked.strip() and any(answers):
        ranked = list(await asyncio.to_thread(_ranked, candidates, known, asked))
    grades = await peoples_grades(db, project_id, rubric, [one for one, _ in ranked])
    return tuple(_shown(one, likeness, known, grades.get(one, ())) for one, likeness in ranked)


def _ranked(
    candidates: Sequence[GradedAnswer], known: KnownTexts, asked: str
) -> list[tuple[GradedAnswer, float | None]]:
    texts = [_text_of(one, known) for one in candidates]
    readable = [k for k, text in enumerate(texts) if text.strip()]
    if not readable:
        return []
    # The question asked counts among the texts, so that its words have a weight where no anchor has them.
    held = Texts([*(texts[k] for k in readable), asked])
    cosine = held.alike(hash_words([asked])).toarray()[0, :-1]
    order = np.argsort(-cosine, kind="stable")[:SHOWN]
    return [(candidates[readable[k]], min(float(cosine[k]), 1.0)) for k in order if cosine[k] >= LEAST_LIKE]


def _text_of(one: GradedAnswer, known: KnownTexts) -> str:
    first = known.answers[one.answer_id]
    said = [first.text]
    if one.other_answer_id is not None:
        said.append(known.answers[one.other_answer_id].text)
    return _joined(known.items[first.item_id].prompt, said) if any(said) else ""


def _joined(prompt: str | None, answers: Sequence[str | None]) -> str:
    return "\n".join(text[:_LETTERS] for text in (prompt, *answers) if text)


def _shown(
    one: GradedAnswer, likeness: float | None, known: KnownTexts, grades: tuple[PeoplesGrade, ...]
) -> SimilarAnchor:
    first = known.answers[one.answer_id]
    other = None if one.other_answer_id is None else known.answers[one.other_answer_id]
    item = known.items[first.item_id]
    return SimilarAnchor(
        answer_id=show_id("a", one.answer_id),
        other_answer_id=None if one.other_answer_id is None else show_id("a", one.other_answer_id),
        item=item_name(item.external_id, first.item_id),
        system=first.system,
        other_system=None if other is None else other.system,
        likeness=likeness,
        prompt=_cut(item.prompt),
        answer=_cut(first.text),
        other_answer=None if other is None else _cut(other.text),
        grades=grades,
    )


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _EXCERPT else text[:_EXCERPT].rstrip() + "…"
