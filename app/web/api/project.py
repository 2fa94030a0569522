"""GET and PATCH /project: its rules for panels, and what its calls may take of the providers."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import PanelPolicy, Project, Scope
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["project"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Admin = Annotated[Caller, needs(Scope.ADMIN)]


class PanelPolicyOut(Answered):
    """The project's standing rules for panels."""

    min_families: int = Field(
        description="Panels are drawn from at least so many families; below 3, every report says so.",
        examples=[3],
    )
    forbid_own_model: bool = Field(
        description="Whether a judge is kept from answers of its own model.", examples=[True]
    )
    exclude_own_family: bool = Field(
        description="Whether judges are kept from answers of their own family.", examples=[False]
    )


class ProjectLimitsOut(Answered):
    """What all calls for the project may take of the providers together; null: no limit."""

    requests_per_minute: float | None = Field(description="Judge calls in a minute.", examples=[300])
    tokens_per_minute: float | None = Field(description="Tokens in a minute.", examples=[50000])
    usd_per_day: float | None = Field(
        description="US dollars in a day (UTC), batches and single grades together.", examples=[100]
    )


class ProjectOut(Answered):
    """The project that the key opens."""

    name: str = Field(description="Its name.", examples=["default"])
    panel: PanelPolicyOut = Field(
        description="Standing rules for panels.",
        examples=[{"min_families": 3, "forbid_own_model": True, "exclude_own_family": False}],
    )
    limits: ProjectLimitsOut = Field(
        description="What its calls may take of the providers.",
        examples=[{"requests_per_minute": 300, "tokens_per_minute": None, "usd_per_day": 100}],
    )
    simulated: bool = Field(
        description="Whether the roster is simulated: nothing it says is a measurement.",
        examples=[False],
    )
    warnings: list[str] = Field(description="What to know of the project and its roster.", examples=[[]])


class CallbackSecretOut(Answered):
    """What proves that a callback came from this service."""

    secret: str = Field(
        description="Key of the HMAC-SHA-256 in the `Venire-Signature` header (docs/callbacks.md).",
        examples=["5f70bf18a086007016e948b04aed3b82103a36be"],
    )


class PanelPolicyIn(Body):
    """Rules to change; those left out stay as they are."""

    min_families: int | None = Field(
        None, ge=1, le=50, description="Fewest families of a panel.", examples=[3]
    )
    forbid_own_model: bool | None = Field(
        None, description="Keep judges from answers of their own model.", examples=[True]
    )
    exclude_own_family: bool | None = Field(
        None, description="Keep judges from answers of their own family.", examples=[False]
    )


class ProjectLimitsIn(Body):
    """Limits to change; those left out stay, null takes one away."""

    requests_per_minute: float | None = Field(
        None,
        gt=0,
        le=1e9,
        allow_inf_nan=False,
        strict=True,
        description="Judge calls in a minute.",
        examples=[300],
    )
    tokens_per_minute: float | None = Field(
        None,
        gt=0,
        le=1e12,
        allow_inf_nan=False,
        strict=True,
        description="Tokens in a minute.",
        examples=[50000],
    )
    usd_per_day: float | None = Field(
        None,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        strict=True,
        description="As `PUT /budget` sets it.",
        examples=[100],
    )


class ProjectIn(Body):
    """What to change."""

    panel: PanelPolicyIn = Field(
        default_factory=PanelPolicyIn, description="Rules for panels.", examples=[{"min_families": 2}]
    )
    limits: ProjectLimitsIn = Field(
        default_factory=ProjectLimitsIn, description="Limits.", examples=[{"requests_per_minute": 300}]
    )


@router.get("/project", summary="The project and its rules", responses=documented())
async def get_project(caller: Reader, services: Served) -> ProjectOut:
    """The project that the key opens."""
    return await _shown(caller.project, services)


@router.patch(
    "/project", summary="Change the project's rules and limits", responses=documented(400, 413, 415, 422)
)
async def patch_project(body: ProjectIn, caller: Admin, services: Served) -> ProjectOut:
    """Grades that were begun keep the rules they were drawn under; limits hold within seconds."""
    await _limit(body.limits, caller.project, services)
    old, new = caller.project.policy, body.panel
    policy = PanelPolicy(
        min_families=old.min_families if new.min_families is None else new.min_families,
        forbid_own_model=old.forbid_own_model if new.forbid_own_model is None else new.forbid_own_model,
        exclude_own_family=(
            old.exclude_own_family if new.exclude_own_family is None else new.exclude_own_family
        ),
    )
    return await _shown(await services.keys.set_policy(caller.project, policy), services)


async def _limit(new: ProjectLimitsIn, project: Project, services: Served) -> None:
    changed = {name: getattr(new, name) for name in new.model_fields_set}
    if "usd_per_day" in changed:
        await services.allowances.set_daily_budget(project, changed.pop("usd_per_day"))
    if changed:
        old = await services.allowances.limits(project)
        await services.allowances.set_limits(project, replace(old, **changed))


@router.get(
    "/project/callback-secret", summary="The secret that callbacks are signed with", responses=documented()
)
async def get_callback_secret(caller: Admin, services: Served) -> CallbackSecretOut:
    """It follows from the service's key pepper, and changes with it."""
    return CallbackSecretOut(secret=services.keys.signing_secret(caller.project.id))


async def _shown(project: Project, services: Served) -> ProjectOut:
    policy, warnings = project.policy, list(services.roster.warnings)
    limits, today = await services.allowances.limits(project), await services.allowances.today(project)
    if policy.min_families < 3:
        warnings.append(
            f"Panels may be drawn from {policy.min_families} families: with fewer than three, biases that "
            "a family shares do not average out."
        )
    return ProjectOut(
        name=project.name,
        panel=PanelPolicyOut(
            min_families=policy.min_families,
            forbid_own_model=policy.forbid_own_model,
            exclude_own_family=policy.exclude_own_family,
        ),
        limits=ProjectLimitsOut(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
            usd_per_day=today.limit_usd,
        ),
        simulated=services.roster.simulated,
        warnings=warnings,
    )
