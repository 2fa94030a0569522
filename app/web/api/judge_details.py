"""GET /judges/{name}/reliability, residuals, contribution and examples."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.access.keys import Caller
from app.domain.problems import NotFound
from app.domain.projects import Scope
from app.reporting.judge_details import Diagram, Example, JudgeDetails, PanelPart, Residual, judge_details
from app.web.api.bias import EFFECT, EffectOut, shown_effect
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served, Services

router = APIRouter(tags=["judges"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Judge = Annotated[str, Path(description="The judge's name.", examples=["gpt-x"])]
Rubric = Annotated[str, Query(description="The rubric under which it judged.", examples=["helpfulness"])]
Criterion = Annotated[str, Query(description="The criterion.", examples=["helpfulness"])]

_SLOPE = EFFECT | {
    "name": "slope",
    "estimate": 0.96,
    "interval": [0.9, 1.02],
    "unit": "slope",
    "no_effect": 1.0,
}
_RESIDUAL = EFFECT | {"name": "de", "estimate": 0.1, "interval": [-0.02, 0.22], "flagged": False}
_ADDS = EFFECT | {"name": "adds", "estimate": 0.06, "interval": [0.02, 0.1], "unit": "R²"}


class BinOut(Answered):
    """Answers with nearly the same score."""

    low: float = Field(description="The lowest score in it.", examples=[3.4])
    high: float = Field(description="The highest.", examples=[3.8])
    score: float = Field(description="Their mean score.", examples=[3.62])
    people: float = Field(description="Their mean human grade.", examples=[3.55])
    interval: tuple[float, float] | None = Field(
        description="Prompt-clustered interval of that mean; null unless identified.", examples=[[3.4, 3.7]]
    )
    n: int = Field(description="Answers (or pairs) in it.", examples=[27])
    status: str = Field(
        description="identified, not_identified (all grades in it are alike) or insufficient_data.",
        examples=["identified"],
    )


class DiagramOut(Answered):
    """People's grades by bins of a score."""

    slope: EffectOut = Field(description="Of people's grades on the score: 1 if reliable.", examples=[_SLOPE])
    gap: EffectOut = Field(
        description="People's grades less the score, on average, in points with higher meaning better.",
        examples=[EFFECT | {"name": "gap"}],
    )
    bins: list[BinOut] = Field(
        description="By score, ascending, on the criterion's own scale (pairs: -1 to 1, for the first).",
        examples=[[{"low": 3.4, "high": 3.8, "score": 3.62, "people": 3.55, "interval": [3.4, 3.7], "n": 27,
                    "status": "identified"}]],
    )  # fmt: skip


class AboutVersion(Answered):
    """One version of the judge."""

    judge_version: str = Field(description="Digest of the version.", examples=["0f3a9c12be77"])
    model: str = Field(description="The model asked.", examples=["gpt-x-2026-05"])


class ReliabilityOut(AboutVersion):
    """Whether scores mean what they say."""

    calibrated: DiagramOut = Field(
        description="Of the calibrated score that this judge alone would give, held out: no human grade of "
        "the answer's prompt went into it.",
        examples=[{}],
    )
    as_given: DiagramOut = Field(description="Of its verdicts as it gave them.", examples=[{}])


class ResidualOut(Answered):
    """What the judge's calibrated score leaves open in one group."""

    by: str = Field(description="`system`, or the name of a stratum.", examples=["language"])
    group: str = Field(description="The system, or the stratum's value.", examples=["de"])
    effect: EffectOut = Field(
        description="People's grades less the judge's held-out calibrated score; p-values are adjusted over "
        "all judges, systems and strata of the criterion.",
        examples=[_RESIDUAL],
    )


class ResidualsOut(AboutVersion):
    """Residuals by system and stratum."""

    residuals: list[ResidualOut] = Field(description="Systems first.", examples=[[]])


class ContributionOut(AboutVersion):
    """What the judge adds to the panels it sat on."""

    effect: EffectOut = Field(
        description="Gain of the panel's held-out R² by this judge, on answers that others judged too.",
        examples=[_ADDS],
    )
    r2_with: float | None = Field(
        description="Share of what varies in people's mean grades that the panel explains.", examples=[0.61]
    )
    r2_without: float | None = Field(description="The same without the judge.", examples=[0.55])
    width_with: float | None = Field(
        description="Mean width of the panel's intervals in points, before they are cut to the scale.",
        examples=[1.31],
    )
    width_without: float | None = Field(description="The same without the judge.", examples=[1.45])
    weight: float | None = Field(
        description="Its weight in a calibrated score when every judge sits, sizes adding up to 1; null if "
        "it has none.",
        examples=[0.22],
    )


class ExampleOut(Answered):
    """An answer (or pair) that shows a bias."""

    effect: str = Field(description="Which bias.", examples=["length"])
    answer_id: str = Field(description="The answer.", examples=["a_0c5m2v8g0xkq4"])
    other_answer_id: str | None = Field(description="The other of a pair.", examples=[None])
    item: str = Field(description="The item, by your id where it has one.", examples=["q-17"])
    system: str = Field(description="Who wrote the answer.", examples=["bot-v7"])
    other_system: str | None = Field(description="Who wrote the other of a pair.", examples=[None])
    prompt: str | None = Field(description="The prompt, cut to 300 characters.", examples=["How do I ...?"])
    answer: str | None = Field(description="The answer, cut likewise.", examples=["First, ..."])
    other_answer: str | None = Field(description="The other of a pair, cut likewise.", examples=[None])
    judge: float | None = Field(
        description="What the judge gave, on the criterion's own scale; of a pair from -1 to 1, above 0 for "
        "`system`.",
        examples=[5.0],
    )
    people: float | None = Field(description="People's mean grade, likewise.", examples=[2.5])
    grades: int = Field(description="How many human grades.", examples=[2])
    words: float | None = Field(description="The answer's words.", examples=[412])
    other_words: float | None = Field(description="Those of the other of a pair.", examples=[None])
    sentence: str = Field(
        description="What happened.", examples=["gpt-x gave 5. People gave 2.5 (2 grades)."]
    )


class ExamplesOut(AboutVersion):
    """Examples of its biases."""

    examples: list[ExampleOut] = Field(
        description="At most three per bias, those that show it most first; none of a bias that is not "
        "identified.",
        examples=[[]],
    )


class _Told(Answered):
    """What the newest calibration of a criterion says of a judge."""

    judge: str = Field(description="The judge.", examples=["gpt-x"])
    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    status: str = Field(
        description="calibrated, refused, running or not_calibrated.", examples=["calibrated"]
    )
    refusals: list[str] = Field(description="Why the calibration was refused; else empty.", examples=[[]])
    calibration_id: str | None = Field(description="The calibration read.", examples=["c_0c5m2v8g0xkq4"])
    calibrated_at: datetime | None = Field(
        description="When it was finished.", examples=["2026-11-22T10:00:00Z"]
    )
    level: float | None = Field(description="Coverage of every interval here.", examples=[0.95])


class JudgeReliability(_Told):
    """Reliability diagrams of a judge."""

    versions: list[ReliabilityOut] = Field(description="Versions in this calibration.", examples=[[]])


class JudgeResiduals(_Told):
    """Residuals of a judge."""

    versions: list[ResidualsOut] = Field(description="Versions in this calibration.", examples=[[]])


class JudgeContribution(_Told):
    """What a judge adds to the panel."""

    versions: list[ContributionOut] = Field(description="Versions in this calibration.", examples=[[]])


class JudgeExamples(_Told):
    """Examples of a judge's biases."""

    versions: list[ExamplesOut] = Field(description="Versions in this calibration.", examples=[[]])


@router.get(
    "/judges/{name:path}/reliability",
    summary="Whether a judge's scores mean what they say",
    responses=documented(404, 422),
)
async def get_reliability(
    name: Judge, caller: Reader, services: Served, rubric: Rubric, criterion: Criterion
) -> JudgeReliability:
    """People's grades by bins of the judge's scores, calibrated and as given."""
    told = await _details(services, caller, name, rubric, criterion)
    return JudgeReliability(
        **_about(told),
        versions=[
            ReliabilityOut(
                judge_version=one.judge_version,
                model=one.model,
                calibrated=_diagram(one.calibrated),
                as_given=_diagram(one.as_given),
            )
            for one in told.versions
        ],
    )


@router.get(
    "/judges/{name:path}/residuals",
    summary="What a judge's calibrated scores leave open, by system and stratum",
    responses=documented(404, 422),
)
async def get_residuals(
    name: Judge, caller: Reader, services: Served, rubric: Rubric, criterion: Criterion
) -> JudgeResiduals:
    """People's grades less the calibrated score that this judge alone would give."""
    told = await _details(services, caller, name, rubric, criterion)
    return JudgeResiduals(
        **_about(told),
        versions=[
            ResidualsOut(
                judge_version=one.judge_version,
                model=one.model,
                residuals=list(map(_residual, one.residuals)),
            )
            for one in told.versions
        ],
    )


@router.get(
    "/judges/{name:path}/contribution",
    summary="What a judge adds to the panels it sits on",
    responses=documented(404, 422),
)
async def get_contribution(
    name: Judge, caller: Reader, services: Served, rubric: Rubric, criterion: Criterion
) -> JudgeContribution:
    """How much better the panel follows people with the judge than without it, on the same answers."""
    told = await _details(services, caller, name, rubric, criterion)
    return JudgeContribution(
        **_about(told), versions=[_part(one.judge_version, one.model, one.part) for one in told.versions]
    )


@router.get(
    "/judges/{name:path}/examples",
    summary="Answers that show a judge's biases most",
    responses=documented(404, 422),
)
async def get_examples(
    name: Judge,
    caller: Reader,
    services: Served,
    rubric: Rubric,
    criterion: Criterion,
    effect: Annotated[
        str | None, Query(description="Only of this bias.", max_length=100, examples=["length"])
    ] = None,
) -> JudgeExamples:
    """For each identified bias the answers or pairs that push it hardest, with what people gave."""
    told = await _details(services, caller, name, rubric, criterion, examples=True)
    return JudgeExamples(
        **_about(told),
        versions=[
            ExamplesOut(
                judge_version=one.judge_version,
                model=one.model,
                examples=[_example(found) for found in one.examples if effect in (None, found.effect)],
            )
            for one in told.versions
        ],
    )


async def _details(
    services: Services, caller: Caller, name: str, rubric: str, criterion: str, *, examples: bool = False
) -> JudgeDetails:
    told = await judge_details(
        services.database, caller.project.id, name, rubric=rubric, criterion=criterion, examples=examples
    )
    if not told.versions and not await services.roster_report.knows(caller.project, name):
        raise NotFound("judge on the roster or on record called", name)
    return told


def _about(told: JudgeDetails) -> dict[str, Any]:
    return {
        "judge": told.judge, "rubric": told.rubric, "criterion": told.criterion, "status": told.status,
        "refusals": list(told.refusals), "calibration_id": told.calibration_id,
        "calibrated_at": told.calibrated_at, "level": told.level,
    }  # fmt: skip


def _diagram(told: Diagram) -> DiagramOut:
    return DiagramOut(
        slope=shown_effect(told.slope),
        gap=shown_effect(told.gap),
        bins=[
            BinOut(
                low=one.low, high=one.high, score=one.score, people=one.people, interval=one.interval,
                n=one.n, status=one.status,
            )
            for one in told.bins
        ],
    )  # fmt: skip


def _residual(told: Residual) -> ResidualOut:
    return ResidualOut(by=told.by, group=told.group, effect=shown_effect(told.effect))


def _part(version: str, model: str, told: PanelPart) -> ContributionOut:
    return ContributionOut(
        judge_version=version, model=model, effect=shown_effect(told.effect), r2_with=told.r2_with,
        r2_without=told.r2_without, width_with=told.width_with, width_without=told.width_without,
        weight=told.weight,
    )  # fmt: skip


def _example(told: Example) -> ExampleOut:
    return ExampleOut(
        effect=told.effect, answer_id=told.answer_id, other_answer_id=told.other_answer_id, item=told.item,
        system=told.system, other_system=told.other_system, prompt=told.prompt, answer=told.answer,
        other_answer=told.other_answer, judge=told.judge, people=told.people, grades=told.grades,
        words=told.words, other_words=told.other_words, sentence=told.sentence,
    )  # fmt: skip
