"""A stored project with planted system qualities, judged, graded by people and calibrated."""

from dataclasses import replace
from datetime import datetime

import numpy as np

from app.calibration.calibrate import Computed, compute, queue_calibrations
from app.calibration.runner import run_queued_calibrations
from app.domain.anchors import HumanVerdict, Pairing, RecordedVerdict
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.storage.database import Database
from app.storage.evidence import Evidence
from tests.storage.samples import anchored, human, imported, recorded, rubric_in

SYSTEMS = 5
PROMPTS = 50
LANGUAGES = ("de", "en")


def rubric_for(
    kind: RubricKind = RubricKind.POINTWISE,
    *,
    higher_is_better: bool = True,
    criteria: tuple[str, ...] = ("quality",),
) -> Rubric:
    every = (Criterion(name, "how good it is", Scale(1, 5), higher_is_better) for name in criteria)
    return Rubric("support", kind, "Judge with care.", tuple(every))


def truth(system: int) -> float:
    """Planted mean human grade of a system, on the scale from 1 to 5."""
    return 2.0 + 0.4 * system


def about(system: int, prompt: int, other: int | None = None) -> Pairing:
    return Pairing(
        f"item-{prompt}",
        f"bot-{system}",
        other_system=None if other is None else f"bot-{other}",
        answer=f"answer {prompt} of {system}",
        other_answer=None if other is None else f"answer {prompt} of {other}",
        prompt=f"prompt {prompt}",
        len_words=50,
        strata={"language": LANGUAGES[prompt % 2]},
    )


async def judged_project(
    db: Database,
    project_id: int,
    now: datetime,
    *,
    anchors: int = 25,
    seed: int = 3,
    higher_is_better: bool = True,
    kind: RubricKind = RubricKind.POINTWISE,
    silent_below: float = -np.inf,
    blind: bool = False,
    criteria: tuple[str, ...] = ("quality",),
) -> RubricVersion:
    """Five systems, fifty prompts, three judges that are half a point too kind; not calibrated yet.

    ``anchors`` answers of every system have a human grade (pairs: that many pairs in all, times five).
    judge-0 gives no verdict on half of the answers whose quality is under ``silent_below`` (pairs: gap).
    ``blind``: judges of answers score at random. Every one of ``criteria`` is judged and graded anew.
    """
    rng = np.random.default_rng(seed)
    rubric = await rubric_in(
        db, project_id, now, rubric_for(kind, higher_is_better=higher_is_better, criteria=criteria)
    )
    verdicts: list[RecordedVerdict] = []
    people: list[HumanVerdict] = []
    for name in criteria:
        said, graded = (
            _pairs(rng, anchors, silent_below)
            if kind is RubricKind.PAIRWISE
            else _answers(rng, anchors, higher_is_better, silent_below, blind)
        )
        verdicts += [replace(one, criterion=name) for one in said]
        people += [replace(one, criterion=name) for one in graded]
    await imported(db, project_id, rubric, verdicts, now)
    if people:
        await anchored(db, project_id, rubric, people, now)
    return rubric


async def calibrate(db: Database, project_id: int, now: datetime) -> None:
    """Queue and carry out the calibration of everything."""
    await queue_calibrations(db, project_id, rubric="support", now=lambda: now)
    await run_queued_calibrations(db, elsewhere=_here, now=lambda: now)


async def _here(evidence: Evidence, seed: int) -> Computed:
    return compute(evidence, seed=seed)


def _answers(
    rng: np.random.Generator, anchors: int, higher_is_better: bool, silent_below: float, blind: bool
) -> tuple[list[RecordedVerdict], list[HumanVerdict]]:
    verdicts, people = [], []

    def on_scale(value: float) -> float:
        grade = float(np.clip(round(value), 1, 5))
        return grade if higher_is_better else 6 - grade

    for system in range(SYSTEMS):
        graded = set(rng.permutation(PROMPTS)[:anchors].tolist())
        for prompt in range(PROMPTS):
            quality = truth(system) + 0.7 * rng.normal()
            one = about(system, prompt)
            for j in range(3):
                score = on_scale((2.5 if blind else quality) + 0.5 + 0.7 * rng.normal())
                verdict = recorded(one, score, by=f"judge-{j}")
                verdicts.append(_silenced(verdict, rng) if j == 0 and quality < silent_below else verdict)
            if prompt in graded:
                people.append(human(one, on_scale(quality + 0.4 * rng.normal())))
    return verdicts, people


def _silenced(verdict: RecordedVerdict, rng: np.random.Generator) -> RecordedVerdict:
    return replace(verdict, value=None, unscored="timeout") if rng.random() < 0.5 else verdict


def _pairs(
    rng: np.random.Generator, anchors: int, silent_below: float
) -> tuple[list[RecordedVerdict], list[HumanVerdict]]:
    verdicts, people = [], []
    for prompt in range(4 * PROMPTS):
        first, second = sorted(rng.permutation(SYSTEMS)[:2].tolist())
        gap = truth(first) - truth(second) + rng.normal()
        one = about(first, prompt, second)
        for j in range(3):
            score = float(np.sign(gap + rng.normal()))
            verdict = recorded(one, score, by=f"judge-{j}", order=1)
            verdicts.append(_silenced(verdict, rng) if j == 0 and gap < silent_below else verdict)
        if prompt < SYSTEMS * anchors:
            people.append(human(one, float(np.sign(gap + 0.5 * rng.normal()))))
    return verdicts, people
