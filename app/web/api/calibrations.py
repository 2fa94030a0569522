"""POST and GET /calibrations."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from app.access.keys import Caller
from app.calibration.calibrate import find_calibration, list_runs, queue_calibrations
from app.domain.calibration import Calibration
from app.domain.ids import read_id, show_id
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["calibrations"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Fitter = Annotated[Caller, needs(Scope.ANCHORS)]


class CalibrationIn(Body):
    """What to calibrate, and on which human grades."""

    rubric: Name = Field(description="Name of the rubric.", examples=["helpfulness"])
    criterion: Name | None = Field(
        None, description="One of its criteria; null: each of them.", examples=["helpfulness"]
    )
    anchor_sets: list[Name] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Anchor sets to rest on, at their newest versions; null: all of the rubric's.",
        examples=[["support-2026"]],
    )


class CalibrationOut(Answered):
    """A calibration: what it rests on, what was fitted, what it refused. Once finished it never changes."""

    calibration_id: str = Field(description="Its id.", examples=["c_0c5m0n2x9k4qz"])
    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    status: Literal["queued", "running", "done", "refused", "failed"] = Field(
        description="`done`: grades and quality use it. `refused`: the data cannot honestly be calibrated, "
        "`refusals` say why. `failed`: it broke, `error` says how.",
        examples=["done"],
    )
    created_at: datetime = Field(description="When it was asked for.", examples=["2026-11-22T10:00:00Z"])
    finished_at: datetime | None = Field(
        description="When it ended; null before.", examples=["2026-11-22T10:00:02Z"]
    )
    snapshot: dict[str, Any] = Field(
        description="What it rests on: a hash of the data, counts, and the versions of rubric, judges, "
        "prompts and anchor sets. Empty before it has run.",
        examples=[{"sha256": "9f86d081884c7d65", "rubric_version": 3, "counts": {"graded_units": 240}}],
    )
    model: dict[str, Any] = Field(
        description="The fit, on a scale of 0 (worst) to 1 (best), pairs -1 to 1: `judges` (severity, "
        "loading, position), `systems`, `fixed_effects` and `variance_components` with 95% intervals, "
        "`optimiser`, `diagnostics`, `warnings`. Lists leave it out.",
        examples=[{"fixed_effects": [{"name": "panel", "estimate": 0.82, "interval": [0.66, 0.98]}]}],
    )
    refusals: list[str] = Field(
        description="What it would not say, and what that would take.",
        examples=[["too_few_prompts: 12 prompts have anchors, 20 are needed for a calibrated score"]],
    )
    error: str | None = Field(description="How it broke; null otherwise.", examples=[None])

    @staticmethod
    def of(found: Calibration, *, whole: bool = True) -> "CalibrationOut":
        """The calibration as it is shown; ``whole`` with its model."""
        return CalibrationOut(
            calibration_id=show_id("c", found.id),
            rubric=found.rubric,
            criterion=found.criterion,
            status=found.status.value,
            created_at=found.created_at,
            finished_at=found.finished_at,
            snapshot=dict(found.snapshot),
            model=dict(found.model) if whole else {},
            refusals=list(found.refusals),
            error=found.error,
        )


class QueuedOut(Answered):
    """Calibrations that will run, or that waited already."""

    calibrations: list[CalibrationOut] = Field(description="One per criterion.", examples=[[]])


@router.post(
    "/calibrations",
    status_code=202,
    summary="Ask for a calibration",
    responses=documented(400, 404, 413, 415, 422),
)
async def post_calibration(
    body: CalibrationIn, caller: Fitter, services: Served, response: Response
) -> QueuedOut:
    """Queues one per criterion; one that already waits for the same is answered instead of a second.

    `Location` is the first one's address. Uploading anchors does the same by itself.
    """
    queued = await queue_calibrations(
        services.database,
        caller.project.id,
        rubric=body.rubric,
        criterion=body.criterion,
        anchor_sets=body.anchor_sets,
    )
    services.calibrating.wake()
    response.headers["Location"] = f"/calibrations/{show_id('c', queued[0].id)}"
    return QueuedOut(calibrations=[CalibrationOut.of(one) for one in queued])


@router.get("/calibrations", summary="Calibrations, newest first", responses=documented(422))
async def list_calibrations(
    caller: Reader,
    services: Served,
    paging: Paging,
    rubric: Annotated[
        str | None, Query(max_length=200, description="Only of this rubric.", examples=["helpfulness"])
    ] = None,
    criterion: Annotated[
        str | None, Query(max_length=200, description="Only of this criterion.", examples=["helpfulness"])
    ] = None,
) -> Page[CalibrationOut]:
    """Without their models."""
    page = await list_runs(
        services.database, caller.project.id, rubric=rubric, criterion=criterion, limit=paging.limit,
        cursor=paging.cursor,
    )  # fmt: skip
    return Page(
        items=[CalibrationOut.of(one, whole=False) for one in page.items], next_cursor=page.next_cursor
    )


@router.get("/calibrations/{calibration_id}", summary="One calibration", responses=documented(404, 422))
async def get_calibration(
    calibration_id: Annotated[str, Path(description="Id of the calibration.", examples=["c_0c5m0n2x9k4qz"])],
    caller: Reader,
    services: Served,
) -> CalibrationOut:
    """Its snapshot, its model, and what it refused."""
    key = read_id("c", calibration_id)
    return CalibrationOut.of(await find_calibration(services.database, caller.project.id, key))
