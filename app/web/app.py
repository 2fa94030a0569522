"""The ASGI app: every router in one list, every layer around them in one place."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from app.access.idempotency import Answers
from app.web.api import (
    anchor_rotations,
    anchor_sets,
    anchors,
    annotation,
    audits,
    batches,
    bias,
    calibrations,
    comparison_table,
    comparisons,
    grade,
    health,
    judge_details,
    judges,
    keys,
    label_plan,
    limits,
    one_answer,
    project,
    quality,
    rankings,
    regrades,
    rubrics,
    verdicts,
)
from app.web.api.batches import KnownItemsIn, StopWhenIn
from app.web.api.grade import GradeIn
from app.web.callers import IdentifyCallers
from app.web.errors import add_handlers
from app.web.idempotency import RepeatFirstAnswers
from app.web.openapi import use_openapi
from app.web.pages.around import AroundPages
from app.web.pages.routes import add_pages
from app.web.requests import LimitBodies, ObserveRequests
from app.web.services import Services

ROUTERS: tuple[APIRouter, ...] = (
    grade.router,
    batches.router,
    limits.router,
    rubrics.router,
    anchors.router,
    one_answer.router,
    annotation.router,
    audits.router,
    regrades.router,
    verdicts.router,
    anchor_sets.router,
    anchor_rotations.router,
    calibrations.router,
    quality.router,
    comparisons.router,
    comparison_table.router,
    rankings.router,
    judges.router,
    bias.router,
    judge_details.router,
    project.router,
    keys.router,
    label_plan.router,
    health.router,
)

UPLOADS = ("/anchors", "/verdicts", "/audits", "/batches", "/ui/")  # paths that take files

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(services: Services, answers: Answers, lifespan: Lifespan, hosts: frozenset[str]) -> FastAPI:
    """The app around ``services``; ``hosts`` are names of this machine beside the loopback ones."""
    app = FastAPI(
        title="Venire",
        version=version("venire"),
        docs_url=None,  # its pages load scripts from the network
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        middleware=[
            Middleware(AroundPages, public_url=services.public_url),
            Middleware(ObserveRequests, metrics=services.metrics),
            Middleware(
                LimitBodies,
                default=services.max_body,
                larger=dict.fromkeys(UPLOADS, services.max_upload),
            ),
            Middleware(IdentifyCallers, keys=services.keys, hosts=hosts),
            Middleware(RepeatFirstAnswers, answers=answers),
        ],
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    add_pages(app)
    add_handlers(app)
    use_openapi(app, [GradeIn, KnownItemsIn, StopWhenIn])
    return app
