"""Whether the service lives, whether it can work, and what it counts."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.errors import MEDIA_TYPE, UNAVAILABLE, documented, problem_response
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["operation"], route_class=StrictRoute)


class HealthzOut(Answered):
    """The process lives."""

    status: Literal["ok"] = Field(description="Always ok.", examples=["ok"])


class ReadyzOut(Answered):
    """The service can work."""

    status: Literal["ready"] = Field(description="Always ready; otherwise 503.", examples=["ready"])
    judges: int = Field(description="Judges that may sit.", examples=[6])
    families: int = Field(description="Families they come from.", examples=[3])
    simulated: bool = Field(description="Whether the judges are simulated.", examples=[False])


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> HealthzOut:
    """Asks nothing of the database."""
    return HealthzOut(status="ok")


@router.get(
    "/readyz",
    summary="Whether the service can work",
    response_model=ReadyzOut,
    responses={
        503: {
            "description": UNAVAILABLE.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
    },
)
async def readyz(services: Served) -> ReadyzOut | Response:
    """Whether the database answers and there are judges."""
    try:
        await services.database.ping()
    except Exception as error:
        return problem_response(UNAVAILABLE, f"the database does not answer ({type(error).__name__})")
    versions = services.roster.versions()
    families = {version.family for version in versions}
    return ReadyzOut(
        status="ready", judges=len(versions), families=len(families), simulated=services.roster.simulated
    )


@router.get(
    "/metrics",
    summary="What the service counts, for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text"}, **documented()},
)
async def metrics(caller: Annotated[Caller, needs(Scope.READ)], services: Served) -> Response:
    """Counts of all projects, without any text."""
    now = await services.batches.measures()
    services.metrics.bulk(
        {
            "batches": now.batches,
            "chunks": now.chunks,
            "workers": now.workers,
            "dollars": now.dollars,
            "saved": now.saved,
            "provider_batches": now.provider_batches,
            "provider_seats": now.provider_seats,
        },
        {"items_left": now.items_left, "places": now.places, "in_flight": now.in_flight},
    )
    for state in await services.allowances.rates():
        own = None if state.project_id is None else f"project {state.project_id}"
        services.metrics.rate(
            own or state.scope,
            state.kind.value,
            {
                "allowance": state.allowance,
                "used": state.used,
                "flow": state.factor,
                "turned_away": state.turned_away,
                "holders": len(state.holders),
            },
        )
    body, media_type = services.metrics.exposition()
    return Response(body, media_type=media_type)
