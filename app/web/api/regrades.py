"""Anchors graded once more, cold: GET …/regrade-plan, POST and GET …/regrades of an anchor set."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.access.keys import Caller
from app.annotating.progress import Progress
from app.annotating.regrade import RegradePlan
from app.annotating.regrade_draw import ALTERNATIVE, MOST, USUAL, RegradeRequest
from app.domain.annotation import Queue
from app.domain.projects import Scope
from app.web.api.anchor_sets import SetName
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name, Text
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["audits"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Auditor = Annotated[Caller, needs(Scope.ANCHORS)]
_ITEMS = f"How many anchors to draw, at most {MOST:,}; {USUAL} unless `power` is given."
_POWER = "Draw as many as tell a share of `alternative` from the 15% line with this chance."
_ALTERNATIVE = "The share of real disagreements that should not pass for the line."
_STRATUM = "Name of a stratum to draw by, beside systems."


class CellOut(Answered):
    """One stratum of a draw."""

    stratum: str | None = Field(
        description="The items' stratum; null where all are together.", examples=["en"]
    )
    system: str | None = Field(description="The system; null where all are together.", examples=["bot-v7"])
    size: int = Field(description="Anchors that could be drawn.", examples=[120])
    drawn: int = Field(
        description="Anchors that are: over `size`, the chance of each of them.", examples=[12]
    )


class NeededOut(Answered):
    """How many anchors a power takes."""

    power: float = Field(description="The chance to tell the two shares apart.", examples=[0.8])
    items: int = Field(description="Anchors for it.", examples=[94])


class PowerOut(Answered):
    """What a draw of this size can tell, at a level of 95%."""

    line: float = Field(description="The line that shares are held against.", examples=[0.15])
    alternative: float = Field(description="The true share that should be told from it.", examples=[0.25])
    of_this: float = Field(description="The chance that a draw of this size tells it.", examples=[0.51])
    least_told: float | None = Field(
        description="The least share that it tells with a chance of 0.8; null: none.", examples=[0.32]
    )
    needed: list[NeededOut] = Field(
        description="Anchors for each chance, of a set of this size.", examples=[[]]
    )


class RegradePlanOut(Answered):
    """A draw as it would be."""

    anchor_set: str = Field(description="The set.", examples=["first"])
    version: int = Field(description="Its version, whose grades are compared.", examples=[3])
    stratum: str | None = Field(description="Drawn by it, beside systems.", examples=["language"])
    items: int = Field(description="Anchors that are drawn.", examples=[50])
    population: int = Field(description="Anchors that could be drawn.", examples=[400])
    untexted: int = Field(
        description="Anchors that could not, since their texts are not known here.", examples=[0]
    )
    cells: list[CellOut] = Field(description="Where the draws go.", examples=[[]])
    power: PowerOut = Field(
        description="What they can tell.",
        examples=[{"line": 0.15, "alternative": 0.25, "of_this": 0.51, "least_told": 0.32, "needed": []}],
    )
    people: list[str] = Field(
        description="Who graded the set: nobody grades again what they graded.", examples=[["ann", "bob"]]
    )
    warnings: list[str] = Field(description="What is worth knowing.", examples=[[]])

    @staticmethod
    def of(plan: RegradePlan) -> "RegradePlanOut":
        """The plan as it is shown."""
        power = plan.power
        return RegradePlanOut(
            anchor_set=plan.version.anchor_set,
            version=plan.version.version,
            stratum=plan.stratum,
            items=plan.items,
            population=plan.population,
            untexted=plan.untexted,
            cells=[
                CellOut(stratum=one.stratum, system=one.system, size=one.size, drawn=one.drawn)
                for one in plan.cells
            ],
            power=PowerOut(
                line=power.line,
                alternative=power.alternative,
                of_this=power.of_this,
                least_told=power.least_told,
                needed=[NeededOut(power=chance, items=items) for chance, items in power.needed],
            ),
            people=list(plan.people),
            warnings=list(plan.warnings),
        )


class RegradeIn(Body):
    """A draw to be made."""

    items: int | None = Field(None, description=_ITEMS, examples=[50])
    power: float | None = Field(None, description=_POWER, examples=[None])
    alternative: float = Field(ALTERNATIVE, description=_ALTERNATIVE, examples=[0.25])
    stratum: Name | None = Field(None, description=_STRATUM, examples=["language"])
    graders: int = Field(1, ge=1, le=5, description="How many people grade each anchor.", examples=[1])
    guidance: Text = Field("", max_length=20_000, description="What else graders should know.", examples=[""])
    seed: int | None = Field(None, ge=0, lt=2**53, description="Repeats an earlier draw.", examples=[7])


class RegradeOut(Answered):
    """A cold regrade as it stands."""

    queue: str = Field(
        description="The annotation queue: people grade in it, an audit reads it.", examples=["first cold 1"]
    )
    anchor_set: str = Field(description="The set.", examples=["first"])
    version: int = Field(description="The version it was drawn from.", examples=[3])
    stratum: str | None = Field(description="Drawn by it, beside systems.", examples=["language"])
    seed: int = Field(description="Repeats the draw on the same version.", examples=[7])
    items: int = Field(description="Anchors that were drawn.", examples=[50])
    wanted: int = Field(description="Grades wanted.", examples=[50])
    done: int = Field(description="Grades given.", examples=[12])
    skipped: int = Field(description="Times an anchor was skipped.", examples=[0])
    open: bool = Field(description="Whether people can grade.", examples=[True])
    created_at: datetime = Field(description="When it was drawn.", examples=["2026-11-22T10:00:00Z"])

    @staticmethod
    def of(queue: Queue, stands: Progress) -> "RegradeOut":
        """The regrade as it is shown."""
        assert queue.regrade is not None  # only such queues are listed
        return RegradeOut(
            queue=queue.name,
            anchor_set=queue.anchor_set,
            version=queue.regrade.version,
            stratum=queue.regrade.stratum,
            seed=queue.regrade.seed,
            items=stands.items,
            wanted=stands.wanted,
            done=stands.done,
            skipped=stands.skipped,
            open=queue.open,
            created_at=queue.created_at,
        )


class NewRegradeOut(Answered):
    """A cold regrade that was just drawn."""

    regrade: RegradeOut = Field(
        description="Its queue.", examples=[{"queue": "first cold 1", "anchor_set": "first"}]
    )
    plan: RegradePlanOut = Field(
        description="How it was drawn.", examples=[{"anchor_set": "first", "items": 50}]
    )


class RegradesOut(Answered):
    """Cold regrades of a set."""

    items: list[RegradeOut] = Field(description="The newest first.", examples=[[]])


@router.get(
    "/anchor-sets/{name}/regrade-plan",
    summary="What a cold regrade would draw and could tell",
    responses=documented(404, 422),
)
async def get_plan(
    name: SetName,
    caller: Reader,
    services: Served,
    items: Annotated[int | None, Query(description=_ITEMS, examples=[50])] = None,
    power: Annotated[float | None, Query(description=_POWER, examples=[0.8])] = None,
    alternative: Annotated[float, Query(description=_ALTERNATIVE, examples=[0.25])] = ALTERNATIVE,
    stratum: Annotated[str | None, Query(max_length=200, description=_STRATUM, examples=["language"])] = None,
) -> RegradePlanOut:
    """Nothing is drawn yet."""
    request = RegradeRequest(items, power, alternative, stratum)
    return RegradePlanOut.of(await services.regrades.plan(caller.project, name, request))


@router.post(
    "/anchor-sets/{name}/regrades",
    status_code=201,
    summary="Draw anchors to be graded once more, cold",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def begin(name: SetName, body: RegradeIn, caller: Auditor, services: Served) -> NewRegradeOut:
    """Makes an annotation queue over them. Whoever graded an anchor before is not offered it; the desk shows
    neither systems nor scores nor earlier grades. `POST /audits` with `kind` `disagreement` and the parameter
    `regrade` then holds the grades against those of the set, which stay as they are.
    """
    request = RegradeRequest(body.items, body.power, body.alternative, body.stratum)
    queue, plan = await services.regrades.begin(
        caller.project, name, request, graders=body.graders, guidance=body.guidance, seed=body.seed
    )
    stands = await services.queues.progress(queue)
    return NewRegradeOut(regrade=RegradeOut.of(queue, stands), plan=RegradePlanOut.of(plan))


@router.get("/anchor-sets/{name}/regrades", summary="Cold regrades of a set", responses=documented(404, 422))
async def list_regrades(name: SetName, caller: Reader, services: Served) -> RegradesOut:
    """With how far they are."""
    found = await services.regrades.of_set(caller.project, name)
    return RegradesOut(items=[RegradeOut.of(one, await services.queues.progress(one)) for one in found])
