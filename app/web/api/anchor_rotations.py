"""Rotation of anchor sets: GET …/rotation-plan, POST and GET …/rotations."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.access.keys import Caller
from app.annotating.rotation import RotationPlan, SystemTurn, WornAnchor, shown_rotation_id
from app.annotating.rotation_link import ChangePart, CriterionLink, GroupLink
from app.domain.projects import Project, Scope
from app.domain.rotation import Rotation, RotationPolicy
from app.web.api.anchor_sets import SetName
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body
from app.web.queries import StrictRoute
from app.web.services import Served, Services

router = APIRouter(tags=["anchors"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]
_MOST_SHOWN = 1_000
_ABOUT = {
    "every_days": "Days between rotations; default: as the last rotation, else 7.",
    "share": "Share of the items that is replaced; default: as the last rotation, else 0.075.",
    "overlap": "Least share that stays, to link by; default: as the last rotation, else 0.8.",
    "half_life_days": "Days in which an anchor loses half of its freshness; default: 180.",
    "half_life_exposures": "Exposures in which it loses half of its freshness; default: 1,000.",
}
_EXAMPLES = {"every_days": 7, "share": 0.075, "overlap": 0.8, "half_life_days": 180}


def _asked(name: str) -> Any:
    return Query(description=_ABOUT[name], examples=[_EXAMPLES.get(name, 1000)])


def _said(name: str) -> Any:
    return Field(default=None, description=_ABOUT[name], examples=[_EXAMPLES.get(name, 1000)])


class PolicyOut(Answered):
    """How a set is renewed."""

    every_days: float = Field(description="Days between rotations.", examples=[7])
    share: float = Field(description="Share of the items that is replaced.", examples=[0.075])
    overlap: float = Field(description="Least share that stays, to link by.", examples=[0.8])
    half_life_days: float = Field(
        description="Days in which an anchor loses half of its freshness.", examples=[180]
    )
    half_life_exposures: float = Field(
        description="Exposures in which it loses half of its freshness.", examples=[1000]
    )


class WornOut(Answered):
    """One item with its wear."""

    item: str = Field(description="The item.", examples=["q-17"])
    born: datetime = Field(description="When it first stood in the set.", examples=["2026-05-22T10:00:00Z"])
    age_days: float = Field(description="Days since.", examples=[184.2])
    showings: int = Field(description="Verdicts that judges gave on its answers.", examples=[212])
    calibrations: int = Field(description="Calibrations that rested on it.", examples=[30])
    exports: int = Field(description="Exports that it was in.", examples=[1])
    exposures: float = Field(
        description="Showings and calibrations, and twenty for each export.", examples=[262]
    )
    freshness: float = Field(
        description="2 to the minus (age over its half-life plus exposures over theirs): 1 when new.",
        examples=[0.41],
    )
    systems: list[str] = Field(description="Systems whose answers were graded.", examples=[["bot-v7"]])

    @staticmethod
    def of(one: WornAnchor) -> "WornOut":
        """The item as it is shown."""
        return WornOut(
            item=one.about.item,
            born=one.about.born,
            age_days=round(one.age_days, 2),
            showings=one.showings,
            calibrations=one.about.calibrations,
            exports=one.about.exports,
            exposures=one.exposures,
            freshness=round(one.freshness, 4),
            systems=list(one.about.systems),
        )


class TurnOut(Answered):
    """One system's anchors in the rotation."""

    system: str = Field(description="Its name.", examples=["bot-v7"])
    have: int = Field(description="Items it has in the set.", examples=[24])
    leave: int = Field(description="Of these would leave.", examples=[2])
    share: float | None = Field(
        description="Its share of the new grades by the label planner; null: drawn evenly.", examples=[0.3]
    )

    @staticmethod
    def of(one: SystemTurn) -> "TurnOut":
        """The system as it is shown."""
        return TurnOut(system=one.system, have=one.have, leave=one.leave, share=one.share)


class RotationPlanOut(Answered):
    """What a rotation would do now."""

    name: str = Field(description="The set.", examples=["helpfulness-2026"])
    version: int = Field(description="Its version.", examples=[4])
    policy: PolicyOut = Field(
        description="How it is renewed.",
        examples=[{"every_days": 7, "share": 0.075, "overlap": 0.8, "half_life_days": 180,
                   "half_life_exposures": 1000}],
    )  # fmt: skip
    due_at: datetime = Field(description="When a rotation is due.", examples=["2026-11-29T10:00:00Z"])
    due: bool = Field(description="Whether it is due.", examples=[True])
    items: int = Field(description="Items in the set.", examples=[120])
    retire: list[WornOut] = Field(description="Those that would leave, the most worn first.", examples=[[]])
    anchors: list[WornOut] = Field(description="The 1,000 most worn of all.", examples=[[]])
    new_items: int = Field(description="Answers to be graded in their place.", examples=[9])
    systems: list[TurnOut] = Field(description="System by system.", examples=[[]])
    warnings: list[str] = Field(description="Why less, or nothing, is proposed.", examples=[[]])

    @staticmethod
    def of(plan: RotationPlan) -> "RotationPlanOut":
        """The plan as it is shown."""
        return RotationPlanOut(
            name=plan.version.anchor_set,
            version=plan.version.version,
            policy=PolicyOut(**plan.policy.as_dict()),
            due_at=plan.due_at,
            due=plan.due,
            items=len(plan.anchors),
            retire=list(map(WornOut.of, plan.retire)),
            anchors=list(map(WornOut.of, plan.anchors[:_MOST_SHOWN])),
            new_items=plan.new_items,
            systems=list(map(TurnOut.of, plan.systems)),
            warnings=list(plan.warnings),
        )


class RotateIn(Body):
    """How to rotate."""

    every_days: float | None = _said("every_days")
    share: float | None = _said("share")
    overlap: float | None = _said("overlap")
    half_life_days: float | None = _said("half_life_days")
    half_life_exposures: float | None = _said("half_life_exposures")
    seed: int = Field(default=0, ge=0, lt=2**53, description="Decides between equally worn.", examples=[0])
    draw: bool = Field(
        default=True,
        description="Draw answers to be graded in their place into a new annotation queue; false where new "
        "grades come in as a file.",
        examples=[True],
    )


class RotationOut(Answered):
    """A rotation as it was done."""

    id: str = Field(description="Its id.", examples=["rot_0c5m3v9k2hx7q"])
    name: str = Field(description="The set.", examples=["helpfulness-2026"])
    before_version: int = Field(description="The set's version before.", examples=[4])
    after_version: int = Field(description="The version without the retired.", examples=[5])
    queue: str | None = Field(
        description="The annotation queue in which the new ones are graded; null if none were drawn.",
        examples=["helpfulness-2026: rotation 1"],
    )
    policy: PolicyOut = Field(
        description="How it was done.",
        examples=[{"every_days": 7, "share": 0.075, "overlap": 0.8, "half_life_days": 180,
                   "half_life_exposures": 1000}],
    )  # fmt: skip
    retired: list[str] = Field(description="Items that left.", examples=[["q-17"]])
    warnings: list[str] = Field(description="What is worth knowing.", examples=[[]])
    created_at: datetime = Field(description="When.", examples=["2026-11-22T10:00:00Z"])

    @staticmethod
    def of(one: Rotation) -> "RotationOut":
        """The rotation as it is shown."""
        return RotationOut(
            id=shown_rotation_id(one),
            name=one.anchor_set,
            before_version=one.before_version,
            after_version=one.after_version,
            queue=one.queue,
            policy=PolicyOut(**one.policy.as_dict()),
            retired=list(one.retired),
            warnings=list(one.warnings),
            created_at=one.created_at,
        )


class RotationList(Answered):
    """The rotations of a set."""

    items: list[RotationOut] = Field(description="The newest first.", examples=[[]])


class PartOut(Answered):
    """A part of a change, on the criterion's own scale; for pairs in advantage from -1 to 1."""

    estimate: float = Field(description="How much.", examples=[0.04])
    interval: tuple[float, float] = Field(description="Its interval.", examples=[[-0.01, 0.09]])

    @staticmethod
    def of(one: ChangePart | None) -> "PartOut | None":
        """The part as it is shown."""
        return None if one is None else PartOut(estimate=one.estimate, interval=one.interval)


_PART = [{"estimate": 0.04, "interval": [-0.01, 0.09]}]


class GroupLinkOut(Answered):
    """One system's change, or that of all answers; total = overlap + anchors, exactly."""

    system: str | None = Field(description="The system; null: all answers.", examples=["bot-v7"])
    n_overlap: int = Field(description="Anchors graded before and after.", examples=[110])
    n_new: int = Field(description="Anchors that are new.", examples=[9])
    n_retired: int = Field(description="Anchors that are gone.", examples=[9])
    total: PartOut | None = Field(description="Change of the corrected mean.", examples=_PART)
    overlap: PartOut | None = Field(description="Of it on the anchors that stayed.", examples=_PART)
    anchors: PartOut | None = Field(description="Of it the new anchors.", examples=_PART)
    refusal: str | None = Field(
        description="`insufficient_overlap`: nothing is told; `insufficient_new_anchors`: not split.",
        examples=[None],
    )
    sentence: str = Field(description="The same in words.", examples=["Of a change of +0.040, …"])

    @staticmethod
    def of(one: GroupLink) -> "GroupLinkOut":
        """The group as it is shown."""
        return GroupLinkOut(
            system=one.system,
            n_overlap=one.n_overlap,
            n_new=one.n_new,
            n_retired=one.n_retired,
            total=PartOut.of(one.total),
            overlap=PartOut.of(one.overlap),
            anchors=PartOut.of(one.anchors),
            refusal=one.refusal,
            sentence=one.sentence,
        )


class CriterionLinkOut(Answered):
    """One criterion's change since the rotation."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    level: float = Field(description="Coverage of the intervals.", examples=[0.95])
    before_calibration: str | None = Field(
        description="The last calibration before.", examples=["c_0c5m3v9k2hx7q"]
    )
    after_calibration: str | None = Field(description="The newest since.", examples=["c_0c5m3v9k2hx7r"])
    refusal: str | None = Field(
        description="`not_calibrated_before` or `not_calibrated_after`, if there is nothing to compare.",
        examples=[None],
    )
    groups: list[GroupLinkOut] = Field(description="All answers, then every system.", examples=[[]])

    @staticmethod
    def of(one: CriterionLink) -> "CriterionLinkOut":
        """The criterion as it is shown."""
        return CriterionLinkOut(
            criterion=one.criterion,
            level=one.level,
            before_calibration=one.before_calibration,
            after_calibration=one.after_calibration,
            refusal=one.refusal,
            groups=list(map(GroupLinkOut.of, one.groups)),
        )


class RotationReport(RotationOut):
    """A rotation, and how much of the change since is the new anchors."""

    criteria: list[CriterionLinkOut] = Field(description="Criterion by criterion.", examples=[[]])


async def policy_of(
    services: Services, project: Project, name: str, asked: dict[str, float | None]
) -> RotationPolicy:
    """The set's policy with what was asked for in its place."""
    known = asdict(await services.rotations.policy(project, name))
    given = {field.name: asked.get(field.name) for field in fields(RotationPolicy)}
    return RotationPolicy(**{**known, **{key: value for key, value in given.items() if value is not None}})


@router.get(
    "/anchor-sets/{name}/rotation-plan",
    summary="What to retire and what to grade next",
    responses=documented(404, 422),
)
async def get_plan(
    name: SetName,
    caller: Reader,
    services: Served,
    every_days: Annotated[float | None, _asked("every_days")] = None,
    share: Annotated[float | None, _asked("share")] = None,
    overlap: Annotated[float | None, _asked("overlap")] = None,
    half_life_days: Annotated[float | None, _asked("half_life_days")] = None,
    half_life_exposures: Annotated[float | None, _asked("half_life_exposures")] = None,
    seed: Annotated[int, Query(ge=0, lt=2**53, description="Decides ties.", examples=[0])] = 0,
) -> RotationPlanOut:
    """Changes nothing. The most worn items leave, as long as every system keeps half of its own."""
    asked = {
        "every_days": every_days, "share": share, "overlap": overlap, "half_life_days": half_life_days,
        "half_life_exposures": half_life_exposures,
    }  # fmt: skip
    policy = await policy_of(services, caller.project, name, asked)
    return RotationPlanOut.of(await services.rotations.plan(caller.project, name, policy, seed))


@router.post(
    "/anchor-sets/{name}/rotations",
    summary="Rotate an anchor set",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def post_rotation(name: SetName, body: RotateIn, caller: Uploader, services: Served) -> RotationOut:
    """What the plan says: new answers are drawn into an annotation queue, then the worn items are retired.

    422 where the plan proposes nothing, or nothing can be drawn. What rested on the set is calibrated anew
    now, and again when the queue's grades are published.
    """
    policy = await policy_of(services, caller.project, name, body.model_dump())
    done = await services.rotations.rotate(caller.project, name, policy, seed=body.seed, draw=body.draw)
    return RotationOut.of(done)


@router.get("/anchor-sets/{name}/rotations", summary="Rotations of a set", responses=documented(404, 422))
async def list_rotations(name: SetName, caller: Reader, services: Served) -> RotationList:
    """The newest first."""
    found = await services.rotations.rotations(caller.project, name)
    return RotationList(items=list(map(RotationOut.of, found)))


@router.get(
    "/anchor-sets/{name}/rotations/{rotation_id}",
    summary="A rotation, and what of the change since is the new anchors",
    responses=documented(404, 422),
)
async def get_rotation(
    name: SetName,
    rotation_id: Annotated[str, Path(max_length=40, description="Its id.", examples=["rot_0c5m3v9k2hx7q"])],
    caller: Reader,
    services: Served,
    level: Annotated[
        float, Query(ge=0.5, le=0.999, description="Coverage of the intervals.", examples=[0.95])
    ] = 0.95,
) -> RotationReport:
    """Quality before and after is linked by the anchors that stayed: change = on these + the new anchors.

    It compares the last calibration on the version before with the newest since; a plain rectified mean, not
    the table's shrunk one.
    """
    found, criteria = await services.rotations.report(caller.project, name, rotation_id, level)
    return RotationReport(
        **RotationOut.of(found).model_dump(), criteria=list(map(CriterionLinkOut.of, criteria))
    )
