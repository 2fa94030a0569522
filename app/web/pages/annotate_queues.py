"""Queues as whoever runs them sees them: the list, and a form for a new one."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.progress import Progress
from app.annotating.queues import MOST_ITEMS
from app.domain.annotation import Queue
from app.domain.problems import BadInput, Problem
from app.domain.projects import Scope
from app.web.api.annotation import QueueIn
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import share_bar
from app.web.pages.chosen import MOST_RUBRICS, Option
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import count
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Anyone = Annotated[Caller, needs(Scope.READ, Scope.ANCHORS, Scope.ANNOTATE)]
Runner = Annotated[Caller, needs(Scope.ANCHORS)]
Planned = Annotated[int, Query(ge=1, le=MOST_ITEMS)]
USUAL = 50
"""Items that are drawn unless somebody says or planned otherwise."""


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue in the list."""

    name: str
    href: str
    rubric: str
    anchor_set: str
    state: str
    items: str
    done: str
    bar: Markup
    disagreements: str


@dataclass(frozen=True, slots=True)
class QueuesPage:
    """The list, and what a new queue could be about; ``grades`` are planned for it."""

    title: str
    lines: tuple[QueueLine, ...]
    rubrics: tuple[Option, ...]
    grades: str
    may_run: bool


@router.get("/ui/annotate")
async def show_queues(
    request: Request,
    caller: Anyone,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    grades: Planned = USUAL,
) -> Response:
    """The project's queues; whoever was invited goes to their own."""
    invitation = await services.people.invitation_of(caller)
    if invitation is not None:
        return RedirectResponse(url("annotate", invitation.queue, "grade"), 303, HEADERS)
    found = await services.queues.list(caller.project)
    lines = [_line(one, await services.queues.progress(one)) for one in found]
    rubrics = (await services.rubrics.list(caller.project, MOST_RUBRICS, None)).items
    page = QueuesPage(
        "Annotation",
        tuple(lines),
        tuple(Option(one.rubric.name, one.rubric.name, one.rubric.name == rubric) for one in rubrics),
        str(grades),
        may(request, Scope.ANCHORS),
    )
    return show(request, "annotate.html", page)


@router.post("/ui/annotate")
async def make_queue(
    caller: Runner,
    services: Served,
    name: Annotated[str, Form()],
    rubric: Annotated[str, Form()],
    anchor_set: Annotated[str, Form()],
    guidance: Annotated[str, Form()] = "",
    grades: Annotated[int, Form(ge=1, le=MOST_ITEMS)] = USUAL,
) -> Response:
    """A new queue."""
    try:
        asked = QueueIn(name=name.strip(), rubric=rubric, anchor_set=anchor_set.strip(), guidance=guidance)
    except ValueError:
        wording = "letters, digits, spaces, dots, hyphens and underscores; the set needs a name too"
        raise BadInput(
            "the queue cannot be called this", [Problem(wording, path="name", value=name)]
        ) from None
    queue = await services.queues.create(
        caller.project,
        name=asked.name,
        rubric=asked.rubric,
        anchor_set=asked.anchor_set,
        guidance=asked.guidance,
    )
    return RedirectResponse(url("annotate", queue.name, grades=str(grades)), 303, HEADERS)


def _line(queue: Queue, stands: Progress) -> QueueLine:
    return QueueLine(
        name=queue.name,
        href=url("annotate", queue.name),
        rubric=queue.rubric.rubric.name,
        anchor_set=queue.anchor_set,
        state="open" if queue.open else "closed",
        items=count(stands.items),
        done=f"{count(stands.done)} of {count(stands.wanted)}",
        bar=share_bar(stands.done / stands.wanted if stands.wanted else 0.0),
        disagreements=count(stands.disagreements),
    )
