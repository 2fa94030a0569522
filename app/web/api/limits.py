"""GET /limits: allowances that all processes share, as they stand."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from app.access.keys import Caller
from app.domain.projects import Scope
from app.domain.rates import RateState
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["batches"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]


class HolderOut(Answered):
    """A process that took of an allowance lately."""

    host: str = Field(description="Its machine.", examples=["grader-1"])
    pid: int = Field(description="Its process.", examples=[4711])
    used: float = Field(description="What it took in the last minute.", examples=[118.0])
    leased_at: datetime = Field(description="When it last took any.", examples=["2026-11-22T10:05:00Z"])


class LimitOut(Answered):
    """An allowance of a model at its endpoint, or of the project, and what is taken of it."""

    of: Literal["model", "project"] = Field(description="Whose it is.", examples=["model"])
    model: str | None = Field(
        description="The provider, its address, the variable of the key, the model; null for the project's.",
        examples=["openai https://api.openai.com/v1 OPENAI_API_KEY gpt-x"],
    )
    kind: Literal["requests", "tokens", "dollars"] = Field(
        description="What is counted: requests and tokens by the minute, dollars by the day (UTC).",
        examples=["requests"],
    )
    allowance: float = Field(description="What may be taken in a minute (dollars: a day).", examples=[600])
    used: float = Field(description="What was taken in the last minute (today).", examples=[571.0])
    ready: float = Field(description="What could be taken at once, when last asked for.", examples=[12.5])
    flow: float = Field(
        description="Share of the allowance that flows: below 1 after calls were turned away.", examples=[1.0]
    )
    turned_away: int = Field(description="Calls that the provider turned away (429), in all.", examples=[3])
    leased_at: datetime = Field(description="When it was last asked for.", examples=["2026-11-22T10:05:00Z"])
    holders: list[HolderOut] = Field(description="Who took of it in the last minute.", examples=[[]])


@router.get("/limits", summary="Limits that processes share", responses=documented())
async def list_limits(caller: Reader, services: Served) -> list[LimitOut]:
    """Those that calls were held to so far: of models by the roster, of the project by `PATCH /project`."""
    return [_shown(state) for state in await services.allowances.rates(caller.project)]


def _shown(state: RateState) -> LimitOut:
    return LimitOut(
        of="model" if state.project_id is None else "project",
        model=state.scope or None,
        kind=state.kind.value,
        allowance=state.allowance,
        used=round(state.used, 6),
        ready=round(state.level, 6),
        flow=round(state.factor, 3),
        turned_away=state.turned_away,
        leased_at=state.flowed_at,
        holders=[
            HolderOut(host=one.host, pid=one.pid, used=round(one.used, 6), leased_at=one.leased_at)
            for one in state.holders
        ],
    )
