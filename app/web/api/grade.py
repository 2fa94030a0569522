"""POST /grade and GET /grades/{id}."""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Path, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.ids import read_id, show_id
from app.domain.items import Answer, Item
from app.domain.judging import PanelRequest, Stages
from app.domain.projects import Scope
from app.grading.requests import MOST_LISTED, GradeRequest
from app.grading.results import Status
from app.grading.spending import refused_by_the_day
from app.web.callers import needs, permitted
from app.web.errors import NO_VERDICT, OUT_OF_BUDGET, ProblemDocument, documented, problem_response
from app.web.fields import Answered, Body, JsonResponse, Name, Text, json_body, read_json
from app.web.queries import StrictRoute
from app.web.services import Served, served
from app.web.shown_grade import shown, why_failed

router = APIRouter(tags=["grades"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ, Scope.GRADE)]


def _callback(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a full http:// or https:// address")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must have a port between 0 and 65535") from None
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    return url


class AnswerIn(Body):
    """One system's text."""

    system: Name = Field(description="What wrote the answer. Never shown to a judge.", examples=["bot-v7"])
    family: Name | None = Field(
        None,
        description="The system's lineage, if it is an LLM. Never shown to a judge.",
        examples=["openai"],
    )
    model: Name | None = Field(
        None, description="The exact model, so that it does not judge itself.", examples=["gpt-x-2026-08-01"]
    )
    text: Text = Field(description="The answer itself; may be empty.", examples=["Press the round button."])


class StagesIn(Body):
    """A panel asked in two stages (docs/batches.md): cheap where judges agree and the calibration is sure."""

    first: int = Field(
        ge=1,
        le=50,
        description="Families of the panel of which one judge is asked first. The others are asked with a "
        "chance that rises with the calibrated interval's width and the first judges' disagreement.",
        examples=[2],
    )
    least_chance: float = Field(
        0.2, ge=0.05, le=1, description="The chance where nothing calls for more judges.", examples=[0.2]
    )
    wide: float = Field(
        1.0,
        gt=0,
        le=10,
        description="Width of the calibrated interval, as a share of the scale, at which the others are "
        "always asked.",
        examples=[1.0],
    )
    apart: float = Field(
        0.5,
        gt=0,
        le=10,
        description="Gap between two of the first judges, as a share of the scale, at which the others are "
        "always asked.",
        examples=[0.5],
    )

    def stages(self) -> Stages:
        """The same in the words of the domain."""
        return Stages(self.first, self.least_chance, self.wide, self.apart)


class PanelIn(Body):
    """How the panel is drawn."""

    families: int = Field(
        3, ge=1, le=50, description="Families to draw judges from, uniformly at random.", examples=[3]
    )
    judges_per_family: int = Field(
        1,
        ge=1,
        le=20,
        description="Judges to draw from each; a smaller family seats all it has.",
        examples=[1],
    )
    exclude_families: list[Name] = Field(
        default_factory=list, max_length=500, description="Families that may not sit.", examples=[["openai"]]
    )
    exclude_own_family: bool = Field(
        False, description="Whether the families of the answers may not sit.", examples=[False]
    )
    both_orders: bool = Field(
        False, description="Whether each judge sees an order and its reverse, on two seats.", examples=[False]
    )
    seed: int | None = Field(
        None, ge=0, lt=2**53, description="Replays a draw; by default drawn at random.", examples=[None]
    )

    stages: StagesIn | None = Field(
        None, description="Ask some judges first; by default all at once.", examples=[{"first": 2}]
    )

    def request(self) -> PanelRequest:
        """The same in the words of the domain."""
        return PanelRequest(
            families=self.families,
            judges_per_family=self.judges_per_family,
            exclude_families=frozenset(self.exclude_families),
            exclude_own_family=self.exclude_own_family,
            both_orders=self.both_orders,
            seed=self.seed,
            stages=None if self.stages is None else self.stages.stages(),
        )


class GradeIn(Body):
    """An item to be graded."""

    rubric: Name = Field(
        description="Name of the rubric; its newest version is used.", examples=["helpfulness"]
    )
    prompt: Text = Field(
        min_length=1, description="What the answers answer.", examples=["How do I reset the router?"]
    )
    context: Text | None = Field(None, description="What a judge should also know.", examples=["Model X2."])
    reference: Text | None = Field(
        None, description="A known good answer, for the judge.", examples=["Hold reset for 10 s."]
    )
    item_id: Name | None = Field(
        None,
        description="Your own id of the item; by default its content names it.",
        examples=["ticket-1009"],
    )
    answers: list[AnswerIn] = Field(
        min_length=1,
        max_length=MOST_LISTED,
        description="One for a pointwise rubric, two for pairwise, two to ten for listwise.",
        examples=[[{"system": "bot-v7", "family": "openai", "text": "Press the round button."}]],
    )
    strata: dict[Name, Name] = Field(
        default_factory=dict,
        max_length=50,
        description="Groups to report by: name -> value.",
        examples=[{"language": "de", "domain": "billing", "difficulty": "hard"}],
    )
    panel: PanelIn = Field(
        default_factory=PanelIn, description="How judges are drawn and seated.", examples=[{"families": 3}]
    )
    max_cost_usd: float | None = Field(
        None, gt=0, le=1000, description="The most that all seats together may cost.", examples=[0.05]
    )
    timeout_s: float = Field(
        60, gt=0, le=600, description="Time until seats without an answer are unscored.", examples=[60]
    )
    wait: bool = Field(True, description="False: answer 202 at once, with the grade's URL.", examples=[True])
    callback_url: Annotated[str, AfterValidator(_callback)] | None = Field(
        None,
        max_length=2000,
        description="Gets the finished grade by a signed POST (docs/callbacks.md).",
        examples=["https://example.org/hooks/venire"],
    )

    def request(self) -> GradeRequest:
        """The same in the words of the domain."""
        return GradeRequest(
            rubric=self.rubric,
            item=Item(
                prompt=self.prompt,
                answers=tuple(Answer(a.system, a.text, a.family, a.model) for a in self.answers),
                item_id=self.item_id,
                context=self.context,
                reference=self.reference,
                strata=self.strata,
            ),
            panel=self.panel.request(),
            max_cost_usd=self.max_cost_usd,
            timeout_s=self.timeout_s,
            callback_url=self.callback_url,
        )


class UnscoredOut(Answered):
    """Why a seat gave no verdict."""

    reason: Literal[
        "timeout", "refusal", "unparsable", "rate_limited", "provider_error", "budget", "out_of_range"
    ] = Field(description="The kind of failure.", examples=["timeout"])
    detail: str = Field(description="What happened, in words.", examples=["no answer within 60 s"])


class SecondStageOut(Answered):
    """What was drawn of a panel's second stage, before its judges were called."""

    chance: float = Field(
        description="The chance that was drawn with: an item that was asked counts 1 / chance in means.",
        examples=[0.36],
    )
    asked: bool = Field(description="Whether the judges that were left were asked.", examples=[False])
    seats: int = Field(description="How many there were to ask.", examples=[1])
    width: float | None = Field(
        description="Width of the widest calibrated interval after the first stage, as a share of the scale; "
        "null: no calibration.",
        examples=[0.4],
    )
    gap: float | None = Field(
        description="Largest gap between two of the first judges, as a share of the scale; null: unknown.",
        examples=[0.25],
    )


Scores = dict[str, float | list[float | None]]


class SeatOut(Answered):
    """One judge's place on the panel and what it said."""

    position: int = Field(description="The seat's number; replacements come last.", examples=[0])
    judge: str = Field(description="The judge's name on the roster.", examples=["gpt-x"])
    judge_version: str = Field(
        description="Twelve digits of (name, model, params, prompt version).", examples=["0f3a9c21be77"]
    )
    model: str = Field(description="The judge's pinned model.", examples=["gpt-x-2026-08-01"])
    family: str = Field(description="The judge's lineage.", examples=["openai"])
    order: list[int] = Field(
        description="Place by place, which of your answers was shown there (from 0).", examples=[[1, 0]]
    )
    inclusion_probability: float = Field(
        description="The judge's chance of sitting; of a replacement, its chance in that draw; in the second "
        "stage, its chance given the first.",
        examples=[0.5],
    )
    stage: Literal[1, 2] = Field(description="The stage in which it was asked.", examples=[1])
    replaces: int | None = Field(
        description="Number of the failed seat whose stead this one takes.", examples=[None]
    )
    scores: Scores | None = Field(
        description="Per criterion, on its scale; a list for listwise rubrics, in the order of your answers.",
        examples=[{"helpfulness": 4}],
    )
    expected_scores: Scores | None = Field(
        description="Means of the judge's own distribution, where its provider gives log-probabilities. "
        "For pairs from -1 to 1, positive for your first answer.",
        examples=[{"helpfulness": 3.8}],
    )
    preference: dict[str, Literal["first", "second", "tie"]] | None = Field(
        description="For pairs, per criterion: which of your answers wins.",
        examples=[{"helpfulness": "first"}],
    )
    rationale: str | None = Field(description="The judge's own words.", examples=["Clear and correct."])
    unscored: UnscoredOut | None = Field(description="Why there is no verdict.", examples=[None])
    latency_ms: float | None = Field(description="Time the seat took, retries included.", examples=[812.4])
    cost_usd: float | None = Field(description="What it cost, retries included.", examples=[0.0021])
    attempts: int | None = Field(description="Calls made, retries included.", examples=[1])
    cached: bool | None = Field(description="Whether the reply came from a cache.", examples=[False])


class RawOut(Answered):
    """The scored seats on one criterion (and answer), uncalibrated."""

    mean: float = Field(description="Mean over seats; for pairs from -1 to 1.", examples=[3.67])
    spread: float | None = Field(description="Standard deviation between seats.", examples=[0.58])
    seats: int = Field(description="Seats that gave a score.", examples=[3])


class PreferenceOut(Answered):
    """A calibrated comparison of two answers."""

    first_system: str = Field(description="The system of your first answer.", examples=["bot-v7"])
    second_system: str = Field(description="The system of your second answer.", examples=["bot-v8"])
    probability: float | None = Field(
        description="That a person prefers the first; half of the ties counted.", examples=[0.71]
    )
    interval: tuple[float, float] | None = Field(
        description="Interval of the probability.", examples=[[0.55, 0.83]]
    )
    tie_probability: float | None = Field(description="That a person calls it a tie.", examples=[0.1])


class CalibratedOut(Answered):
    """What a person would have said, as far as the calibration can tell."""

    score: float | None = Field(None, description="On the criterion's scale.", examples=[3.1])
    interval: tuple[float, float] | None = Field(
        None, description="Interval for the mean of what people would say.", examples=[[2.4, 3.8]]
    )
    grade_interval: tuple[float, float] | None = Field(
        None, description="Interval for one new human grade, not for their mean.", examples=[[1.2, 4.9]]
    )
    preference: PreferenceOut | None = Field(
        None, description="For pairwise rubrics, in place of score and interval.", examples=[None]
    )
    level: float = Field(description="Coverage that the interval is made for.", examples=[0.95])
    calibration_id: str | None = Field(
        description="The calibration it rests on.", examples=["c_0c5mtzk3q8v1a"]
    )
    status: Literal["calibrated", "judge_relative", "insufficient_anchors", "extrapolating", "stale"] = Field(
        description="How far it may be trusted.", examples=["calibrated"]
    )
    warnings: list[str] = Field(description="What to know before using it.", examples=[[]])


class GradeOut(Answered):
    """A grade as it stands."""

    grade_id: str = Field(description="Id of the grade.", examples=["g_0c5mtzk3q8v1a"])
    status: Literal["pending", "complete", "partial", "failed"] = Field(
        description="Partial: some seats gave no verdict, nor did a replacement.", examples=["complete"]
    )
    simulated: bool = Field(
        description="Whether the panel was simulated: then the scores mean nothing.", examples=[False]
    )
    seed: int = Field(description="Replays the draw of the panel.", examples=[123])
    rubric: str = Field(description="Name of the rubric.", examples=["helpfulness"])
    rubric_version: int = Field(description="The version that the judges saw.", examples=[3])
    item_id: str | None = Field(description="Your own id of the item.", examples=["ticket-1009"])
    systems: list[str] = Field(
        description="The systems of your answers, in your order.", examples=[["bot-v7"]]
    )
    created_at: datetime = Field(
        description="When the assignment was recorded.", examples=["2026-11-22T10:00:00Z"]
    )
    finished_at: datetime | None = Field(
        description="When the last seat was settled.", examples=["2026-11-22T10:00:02Z"]
    )
    seats: list[SeatOut] = Field(description="Every seat, failed and replaced ones included.", examples=[[]])
    raw: dict[str, RawOut | list[RawOut | None] | None] = Field(
        description="Per criterion, uncalibrated; a list for listwise rubrics.",
        examples=[{"helpfulness": {"mean": 3.67, "spread": 0.58, "seats": 3}}],
    )
    calibrated: dict[str, CalibratedOut | list[CalibratedOut]] = Field(
        description="Per criterion, calibrated; a list for listwise rubrics.", examples=[{}]
    )
    second_stage: SecondStageOut | None = Field(
        description="Of a panel with two stages, once the first has ended.", examples=[None]
    )
    cost_usd: float = Field(description="What all seats cost together.", examples=[0.0061])
    warnings: list[str] = Field(description="What to know of this grade.", examples=[[]])


class GradeFailed(ProblemDocument):
    """The answer when no seat gave a verdict: a problem that carries the grade, which is stored."""

    grade: GradeOut = Field(description="The grade, with the reason at every seat.", examples=[{}])


class GradeRefused(ProblemDocument):
    """The answer when the project's budget of the day does not cover a single call."""

    grade: GradeOut | None = Field(
        None, description="The grade, where judges were drawn already: it is stored.", examples=[{}]
    )


@router.post(
    "/grade",
    response_model=GradeOut,
    summary="Grade an item by a panel drawn at random",
    openapi_extra=json_body(GradeIn),
    responses={
        202: {"model": GradeOut, "description": "Begun; `Location` has the grade's URL"},
        402: {"model": GradeRefused, "description": "The project's budget of the day does not cover it"},
        502: {"model": GradeFailed, "description": "No judge gave a verdict; everything is stored"},
        **documented(400, 404, 409, 413, 415, 422),
    },
)
async def grade(request: Request) -> Response:
    """Draw judges from at least three families, ask them, and answer with calibrated scores.

    The draw is on record before any judge is called. Seats without a verdict say why.
    """
    # Without dependencies: on this route they would cost as much as reading the body.
    caller, services = permitted(request, Scope.GRADE), served(request)
    body = await read_json(request, GradeIn)
    if not body.wait:
        begun = await services.grading.begin(caller.project, body.request())
        url = f"{services.public_url or str(request.base_url).rstrip('/')}/grades/{show_id('g', begun.id)}"
        return JsonResponse(orjson.dumps(shown(begun)), 202, {"Location": url})
    finished = await services.grading.grade(caller.project, body.request())
    if finished.status is Status.FAILED:
        kind = OUT_OF_BUDGET if refused_by_the_day(finished.seats) else NO_VERDICT
        return problem_response(kind, why_failed(finished), more={"grade": shown(finished)})
    return JsonResponse(orjson.dumps(shown(finished)))


@router.get(
    "/grades/{grade_id}",
    response_model=GradeOut,
    summary="A grade as it stands",
    responses=documented(404),
)
async def read_grade(
    grade_id: Annotated[str, Path(description="Id of the grade.", examples=["g_0c5mtzk3q8v1a"])],
    caller: Reader,
    services: Served,
) -> Response:
    """Also while it is pending: then seats have no reply yet."""
    found = await services.grading.get(caller.project, read_id("g", grade_id))
    return JsonResponse(orjson.dumps(shown(found)))
