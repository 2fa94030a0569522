"""Every page's router; the order matters where one path could be another's."""

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.web.pages import (
    anchor_changes,
    anchor_rotation,
    anchor_sets,
    anchor_upload,
    annotate,
    annotate_desk,
    annotate_enter,
    annotate_plan,
    annotate_queues,
    answers,
    audits,
    batches,
    calibrations,
    comparison_table,
    comparisons,
    grades,
    imports,
    judge,
    judges,
    overview,
    quality,
    rankings,
    regrades,
    report,
    rubrics,
    sign_in,
)

ROUTERS: tuple[APIRouter, ...] = (
    overview.router,
    quality.router,
    report.router,
    comparisons.router,
    comparison_table.router,
    rankings.router,
    judges.router,
    judge.router,
    anchor_upload.router,  # before the sets, whose names may be anything
    anchor_changes.router,  # no set is called by a hyphen
    anchor_rotation.router,
    anchor_sets.router,
    annotate_enter.router,
    annotate_desk.router,  # before the queues, whose names are in its addresses
    annotate_plan.router,  # no queue's name begins with a hyphen
    annotate_queues.router,
    annotate.router,
    regrades.router,  # before the audits, whose ids are in their addresses
    audits.router,
    calibrations.router,
    grades.router,
    answers.router,
    batches.router,
    rubrics.router,
    imports.router,
    sign_in.router,
)


class _Static(StaticFiles):
    """Files whose addresses change with their content, so that browsers may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=86400"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def add_pages(app: FastAPI) -> None:
    """Serve the pages and what they look like under ``/ui``."""
    app.mount("/ui/static", _Static(packages=[("app.web", "static")]), name="static")
    for router in ROUTERS:
        app.include_router(router)
