"""Texts for the comparison of anchors and traffic."""

import numpy as np

from app.domain.anchors import Pairing
from app.storage.evidence import load_evidence
from tests.storage.samples import anchored, human, imported, recorded, rubric_in, rubric_of


def _about(prompt: int, system: str, answer: str | None = "words") -> Pairing:
    text = None if answer is None else f"{answer} {prompt} of {system}"
    return Pairing(f"item-{prompt}", system, answer=text, prompt=f"prompt {prompt}", len_words=3)


async def _load(db, project, now, verdicts, people, texts):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await imported(db, project.id, rubric, verdicts, now)
    await anchored(db, project.id, rubric, people, now)
    return await load_evidence(db, project.id, rubric.rubric.name, "quality", texts=texts)


async def test_whole_prompts_are_drawn_half_of_them_graded(db, project, now):
    verdicts = [recorded(_about(p, s), 3.0) for p in range(60) for s in ("a", "b")]
    people = [human(_about(p, "a"), 4.0) for p in range(30)]
    evidence = await _load(db, project, now, verdicts, people, 40)
    unit, texts = evidence.sampled.unit, evidence.sampled.texts
    assert len(unit) == len(texts) == 40
    assert np.bincount(evidence.prompt[unit])[np.unique(evidence.prompt[unit])].tolist() == [2] * 20
    graded = np.isin(evidence.prompt[unit], evidence.prompt[evidence.h_unit])
    assert graded.sum() == 20
    for row, text in zip(unit.tolist(), texts, strict=True):
        system = evidence.systems[evidence.system[row]]
        number = text.split()[1]
        assert text == f"prompt {number}\nwords {number} of {system}"


async def test_answers_without_texts_leave_the_prompts(db, project, now):
    verdicts = [recorded(_about(p, "a", None), 3.0) for p in range(10)]
    evidence = await _load(db, project, now, verdicts, [human(_about(1, "a", None), 4.0)], 100)
    assert sorted(evidence.sampled.texts) == sorted(f"prompt {p}" for p in range(10))


async def test_nothing_is_read_unless_it_is_asked_for(db, project, now):
    verdicts = [recorded(_about(p, "a"), 3.0) for p in range(3)]
    evidence = await _load(db, project, now, verdicts, [human(_about(1, "a"), 4.0)], 0)
    assert evidence.sampled.texts == ()
