"""GET /answers/{id}, and what stands beside a grade: GET /grades/{id}/contributions and /anchors."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.access.keys import Caller
from app.auditing.similar_anchors import SimilarAnchor, similar_anchors
from app.calibration.explain import Explained
from app.domain.ids import read_id
from app.domain.projects import Scope
from app.grading.results import scored
from app.reporting.contributions import contributions
from app.reporting.one_answer import JudgeSaid, one_answer
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["grading"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Grader = Annotated[Caller, needs(Scope.READ, Scope.GRADE)]
GradeId = Annotated[str, Path(description="Id of the grade.", examples=["g_0c5mtzk3q8v1a"])]


class PartOut(Answered):
    """One verdict's part in a calibrated score."""

    position: int = Field(description="The seat.", examples=[0])
    judge: str = Field(description="Its judge.", examples=["gpt-x"])
    value: float = Field(
        description="What it gave, on the criterion's scale; of a pair 1, 0.5 or 0 for your first answer.",
        examples=[4],
    )
    weight: float | None = Field(
        description="Its weight in the panel's factor score, sizes adding up to 1; null if it did not count.",
        examples=[0.41],
    )
    points: float | None = Field(
        description="By how much it moved the score from where the judge's own average would have left it.",
        examples=[0.22],
    )


class ContributionsOut(Answered):
    """How one calibrated score came about: `start` and the points of `parts` add up to `total`."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    answer: int = Field(description="The answer, in your order from 0; 0 for a pair.", examples=[0])
    calibration_id: str = Field(description="The calibration.", examples=["c_0c5mtzk3q8v1a"])
    start: float = Field(
        description="The score had every judge given its own average: the system, the length of the answer "
        "and people's scale. Of a pair the share of wins of your first answer.",
        examples=[3.3],
    )
    total: float = Field(description="Their sum.", examples=[3.6])
    kept: float = Field(
        description="The sum kept within the scale, which is the score answered.", examples=[3.6]
    )
    parts: list[PartOut] = Field(description="Every verdict on it.", examples=[[]])


class GradeContributions(Answered):
    """What each verdict of a grade was worth."""

    grade_id: str = Field(description="The grade.", examples=["g_0c5mtzk3q8v1a"])
    scores: list[ContributionsOut] = Field(
        description="One entry per calibrated score; none where there is no score.", examples=[[]]
    )


class PeoplesGradeOut(Answered):
    """What people gave an anchor."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    mean: float = Field(
        description="Their mean grade; of a pair from -1 to 1, above 0 for `system`.", examples=[3.5]
    )
    grades: int = Field(description="How many grades.", examples=[2])
    simulated: bool = Field(description="Whether made-up people are among them.", examples=[False])


class SimilarAnchorOut(Answered):
    """An anchor that reads like an answer."""

    answer_id: str = Field(description="The anchor's answer.", examples=["a_0c5m2v8g0xkq4"])
    other_answer_id: str | None = Field(description="The other of a pair.", examples=[None])
    item: str = Field(description="Its item, by your id where it has one.", examples=["q-17"])
    system: str = Field(description="Who wrote it.", examples=["bot-v7"])
    other_system: str | None = Field(description="Who wrote the other of a pair.", examples=[None])
    likeness: float | None = Field(
        description="Cosine of the word stems of prompt and answers, weighted by how rare they are; null "
        "where no text is known and anchors of the same item or system stand in.",
        examples=[0.42],
    )
    prompt: str | None = Field(description="Its prompt, cut to 300 characters.", examples=["How do I ...?"])
    answer: str | None = Field(description="The answer, cut likewise.", examples=["First, ..."])
    other_answer: str | None = Field(description="The other of a pair, cut likewise.", examples=[None])
    grades: list[PeoplesGradeOut] = Field(description="What people gave it.", examples=[[]])


class GradeAnchors(Answered):
    """Anchors that read most like a grade's answers."""

    grade_id: str = Field(description="The grade.", examples=["g_0c5mtzk3q8v1a"])
    anchors: list[SimilarAnchorOut] = Field(description="The likest first, five at most.", examples=[[]])


class JudgeSaidOut(Answered):
    """What one judge gave."""

    judge: str = Field(description="The judge.", examples=["gpt-x"])
    family: str = Field(description="Its family.", examples=["openai"])
    version: str = Field(description="Digest of its version.", examples=["0f3a9c12be77"])
    value: float = Field(description="Its mean value; of a pair with position removed.", examples=[4.0])
    draws: int = Field(description="Verdicts behind it.", examples=[1])
    weight: float | None = Field(
        description="Its weight among the judges of this answer; null if it has none.", examples=[0.4]
    )


class AnswerOut(Answered):
    """An answer (or pair) under one criterion, as its newest calibration has it.

    Values are on the criterion's own scale, of pairs from -1 to 1, above 0 for `system`.
    """

    answer_id: str = Field(description="The answer.", examples=["a_0c5m2v8g0xkq4"])
    other_answer_id: str | None = Field(description="The other of a pair.", examples=[None])
    item: str = Field(description="The item, by your id where it has one.", examples=["q-17"])
    prompt: str | None = Field(description="The prompt, if it is known.", examples=["How do I ...?"])
    system: str = Field(description="Who wrote it.", examples=["bot-v7"])
    other_system: str | None = Field(description="Who wrote the other of a pair.", examples=[None])
    answer: str | None = Field(description="The answer's text, if it is known.", examples=["First, ..."])
    other_answer: str | None = Field(description="The other's.", examples=[None])
    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    calibration_id: str | None = Field(
        description="The calibration; null if the criterion has none.", examples=["c_0c5m2v8g0xkq4"]
    )
    judges: list[JudgeSaidOut] = Field(description="What each judge gave it.", examples=[[]])
    raw: float | None = Field(description="The judges' mean.", examples=[4.2])
    calibrated: float | None = Field(
        description="The calibrated score by the fit on all anchors.", examples=[3.7]
    )
    held_out: float | None = Field(
        description="The same by a fit that saw no human grade of this prompt.", examples=[3.8]
    )
    people: float | None = Field(description="People's mean grade.", examples=[3.5])
    grades: int = Field(description="How many human grades.", examples=[2])
    grade_ids: list[str] = Field(description="Grades of it that were made here.", examples=[[]])
    anchors: list[SimilarAnchorOut] = Field(description="Other anchors that read like it.", examples=[[]])


@router.get(
    "/grades/{grade_id}/contributions",
    summary="What each verdict was worth in a grade's calibrated scores",
    responses=documented(404, 422),
)
async def get_contributions(grade_id: GradeId, caller: Grader, services: Served) -> GradeContributions:
    """The parts add up to the score; weights are those of the regression factor score of the panel."""
    grade = await services.grading.get(caller.project, read_id("g", grade_id))
    found = await contributions(
        services.database,
        caller.project.id,
        rubric=grade.rubric,
        item=grade.item,
        replies=scored(grade.seats),
        calibrated=grade.calibrated,
    )
    return GradeContributions(grade_id=grade_id, scores=[_explained(one) for one in found])


@router.get(
    "/grades/{grade_id}/anchors",
    summary="Anchors that read most like a grade's answers, with what people gave them",
    responses=documented(404, 422),
)
async def get_similar_anchors(grade_id: GradeId, caller: Reader, services: Served) -> GradeAnchors:
    """By likeness of words, among 400 anchors of the rubric: of the same systems first, then the newest."""
    grade = await services.grading.get(caller.project, read_id("g", grade_id))
    found = await similar_anchors(
        services.database,
        caller.project.id,
        grade.rubric,
        prompt=grade.item.prompt,
        answers=[one.text for one in grade.item.answers],
        systems=[one.system for one in grade.item.answers],
    )
    return GradeAnchors(grade_id=grade_id, anchors=[_anchor(one) for one in found])


@router.get(
    "/answers/{answer_id}", summary="One answer or pair under a criterion", responses=documented(404, 422)
)
async def get_answer(
    answer_id: Annotated[str, Path(description="The answer.", examples=["a_0c5m2v8g0xkq4"])],
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(description="The rubric.", examples=["helpfulness"])],
    criterion: Annotated[str, Query(description="The criterion.", examples=["helpfulness"])],
    other: Annotated[
        str | None, Query(description="The other answer of a pair.", examples=["a_0c5m2v8g0xkq5"])
    ] = None,
) -> AnswerOut:
    """What each judge gave it and what that weighs, what it came to, and what people said."""
    found = await one_answer(
        services.quality, caller.project.id, answer_id, other, rubric=rubric, criterion=criterion
    )
    version = await services.rubrics.latest(caller.project, rubric)
    anchors = await similar_anchors(
        services.database,
        caller.project.id,
        version,
        prompt=found.prompt,
        answers=[found.answer, found.other_answer],
        systems=[one for one in (found.system, found.other_system) if one is not None],
        item_ids=[found.item_id],
        but=[read_id("a", one) for one in (answer_id, other) if one is not None],
    )
    return AnswerOut(
        answer_id=found.answer_id, other_answer_id=found.other_answer_id, item=found.item,
        prompt=found.prompt, system=found.system, other_system=found.other_system, answer=found.answer,
        other_answer=found.other_answer, rubric=found.rubric, criterion=found.criterion,
        calibration_id=found.calibration_id, judges=[_said(one) for one in found.judges], raw=found.raw,
        calibrated=found.calibrated, held_out=found.held_out, people=found.people, grades=found.grades,
        grade_ids=list(found.grade_ids), anchors=[_anchor(one) for one in anchors],
    )  # fmt: skip


def _explained(one: Explained) -> ContributionsOut:
    return ContributionsOut(
        criterion=one.criterion,
        answer=one.answer,
        calibration_id=one.calibration_id,
        start=one.start,
        total=one.total,
        kept=one.kept,
        parts=[
            PartOut(
                position=part.position,
                judge=part.judge,
                value=part.value,
                weight=part.weight,
                points=part.points,
            )
            for part in one.parts
        ],
    )


def _anchor(one: SimilarAnchor) -> SimilarAnchorOut:
    return SimilarAnchorOut(
        answer_id=one.answer_id, other_answer_id=one.other_answer_id, item=one.item, system=one.system,
        other_system=one.other_system, likeness=one.likeness, prompt=one.prompt, answer=one.answer,
        other_answer=one.other_answer,
        grades=[
            PeoplesGradeOut(
                criterion=given.criterion, mean=given.mean, grades=given.grades, simulated=given.simulated
            )
            for given in one.grades
        ],
    )  # fmt: skip


def _said(one: JudgeSaid) -> JudgeSaidOut:
    return JudgeSaidOut(
        judge=one.judge, family=one.family, version=one.version, value=one.value, draws=one.draws,
        weight=one.weight,
    )  # fmt: skip
