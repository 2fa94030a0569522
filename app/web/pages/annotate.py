"""Queues as whoever runs them sees them: the list, and one with its people, draws and disagreements."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.progress import Progress
from app.domain.annotation import Queue
from app.domain.ids import show_id
from app.domain.problems import BadInput, Problem
from app.domain.projects import Scope
from app.web.api.annotation import QueueIn
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import share_bar
from app.web.pages.page import HEADERS, may, show
from app.web.pages.words import NONE, count, duration, moment
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Anyone = Annotated[Caller, needs(Scope.READ, Scope.ANCHORS, Scope.ANNOTATE)]
Runner = Annotated[Caller, needs(Scope.ANCHORS)]
_MOST_RUBRICS = 200


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
    """The list, and what a new queue could be about."""

    title: str
    lines: tuple[QueueLine, ...]
    rubrics: tuple[str, ...]
    may_run: bool


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One person's part."""

    name: str
    type: str
    done: str
    skipped: str
    seconds: str


@dataclass(frozen=True, slots=True)
class InvitationLine:
    """Somebody who was invited."""

    id: str
    name: str
    type: str
    until: str
    live: bool


@dataclass(frozen=True, slots=True)
class ApartLine:
    """An item on which people are apart."""

    id: str
    criteria: str
    graders: str
    settled: bool


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One queue. ``said`` tells what was just done; ``link`` is a new invitation's, shown this once; ``cold``
    marks anchors that are graded once more."""

    title: str
    name: str
    base: str
    open: bool
    facts: tuple[tuple[str, str], ...]
    bar: Markup
    empty: bool
    people: tuple[PersonLine, ...]
    invitations: tuple[InvitationLine, ...]
    apart: tuple[ApartLine, ...]
    criteria: tuple[str, ...]
    anchor_set: str
    set_href: str
    may_run: bool
    keyless: bool
    said: str | None
    link: str | None
    cold: bool


@router.get("/ui/annotate")
async def show_queues(request: Request, caller: Anyone, services: Served) -> Response:
    """The project's queues; whoever was invited goes to their own."""
    invitation = await services.people.invitation_of(caller)
    if invitation is not None:
        return RedirectResponse(url("annotate", invitation.queue, "grade"), 303, HEADERS)
    found = await services.queues.list(caller.project)
    lines = [_line(one, await services.queues.progress(one)) for one in found]
    rubrics = (await services.rubrics.list(caller.project, _MOST_RUBRICS, None)).items
    page = QueuesPage(
        "Annotation", tuple(lines), tuple(one.rubric.name for one in rubrics), may(request, Scope.ANCHORS)
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
    return RedirectResponse(url("annotate", queue.name), 303, HEADERS)


@router.get("/ui/annotate/{name}")
async def show_queue(
    request: Request,
    name: str,
    caller: Annotated[Caller, needs(Scope.READ, Scope.ANCHORS)],
    services: Served,
) -> Response:
    """How far it is."""
    return await _show(request, services, caller, name)


@router.post("/ui/annotate/{name}/draw")
async def draw(
    request: Request,
    name: str,
    caller: Runner,
    services: Served,
    grades: Annotated[int, Form(ge=1, le=5_000)],
    criterion: Annotated[str | None, Form()] = None,
    doubles: Annotated[int, Form(ge=0, le=100)] = 20,
) -> Response:
    """Put drawn items into it."""
    queue = await services.queues.get(caller.project, name)
    drawn = await services.queues.draw(
        caller.project, queue, count=grades, criterion=criterion, double_share=doubles / 100
    )
    said = f"{drawn.items:,} items drawn from {drawn.population:,}, {drawn.doubles:,} of them for two people."
    return await _show(request, services, caller, name, said=said)


@router.post("/ui/annotate/{name}/invite")
async def invite(
    request: Request,
    name: str,
    caller: Runner,
    services: Served,
    annotator: Annotated[str, Form(max_length=200)] = "",
    annotator_type: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """A link for one person."""
    queue = await services.queues.get(caller.project, name)
    made = await services.people.invite(
        caller.project, queue, name=annotator, type=annotator_type, expires_at=None
    )
    origin = services.public_url or str(request.base_url).rstrip("/")
    link = f"{origin}{url('annotate', 'enter', key=made.token)}"
    return await _show(request, services, caller, name, link=link)


@router.post("/ui/annotate/{name}/revoke")
async def revoke(
    request: Request, name: str, caller: Runner, services: Served, key: Annotated[str, Form(max_length=40)]
) -> Response:
    """Take an invitation back."""
    queue = await services.queues.get(caller.project, name)
    await services.people.revoke(caller.project, queue, key)
    return await _show(request, services, caller, name, said="The invitation no longer opens anything.")


@router.post("/ui/annotate/{name}/open")
async def set_open(
    name: str, caller: Runner, services: Served, open: Annotated[bool, Form()] = False
) -> Response:
    """Open it or close it."""
    await services.queues.set_open(await services.queues.get(caller.project, name), open)
    return RedirectResponse(url("annotate", name), 303, HEADERS)


@router.post("/ui/annotate/{name}/publish")
async def publish(request: Request, name: str, caller: Runner, services: Served) -> Response:
    """Make anchors of what people said."""
    queue = await services.queues.get(caller.project, name)
    done = await services.publishing.publish(caller.project, queue)
    version = f"version {done.version.version} of {done.version.anchor_set}"
    said = f"{done.grades:,} grades are in {version}; a calibration follows by itself."
    return await _show(
        request, services, caller, name, said=said if done.changed else f"Nothing new: all is in {version}."
    )


async def _show(
    request: Request,
    services: Served,
    caller: Caller,
    name: str,
    *,
    said: str | None = None,
    link: str | None = None,
) -> Response:
    queue = await services.queues.get(caller.project, name)
    stands = await services.queues.progress(queue)
    runs = may(request, Scope.ANCHORS)
    apart = await services.queues.disagreements(queue) if runs and queue.regrade is None else ()
    invited = await services.people.invited(queue) if runs else ()
    rubric = queue.rubric.rubric
    page = QueuePage(
        title=f"Annotation: {queue.name}",
        name=queue.name,
        base=url("annotate", queue.name),
        open=queue.open,
        facts=(
            ("Rubric", f"{rubric.name}, version {queue.rubric.version}"),
            _goes_to(queue),
            ("Items", f"{count(stands.items)}, {count(stands.doubles)} for two people"),
            ("Grades", f"{count(stands.done)} of {count(stands.wanted)}"),
            ("Skipped", count(stands.skipped)),
            ("Disagreements", f"{count(stands.disagreements)} open, {count(stands.adjudicated)} settled"),
            ("Time per item", _seconds(stands.seconds)),
        ),
        bar=share_bar(stands.done / stands.wanted if stands.wanted else 0.0),
        empty=not stands.items,
        people=tuple(
            PersonLine(
                one.annotator.name,
                one.annotator.type,
                count(one.done),
                count(one.skipped),
                _seconds(one.seconds),
            )
            for one in stands.people
        ),
        invitations=tuple(
            InvitationLine(
                id=show_id("k", one.key_id),
                name=one.annotator.name,
                type=one.annotator.type,
                until=moment(one.expires_at),
                live=one.revoked_at is None,
            )
            for one in invited
        ),
        apart=tuple(
            ApartLine(
                show_id("i", one.item.id),
                ", ".join(one.criteria),
                count(len(one.grades)),
                one.settled is not None,
            )
            for one in apart
        ),
        criteria=tuple(one.name for one in rubric.criteria),
        anchor_set=queue.anchor_set,
        set_href=url("anchor-sets", queue.anchor_set),
        may_run=runs,
        keyless=not await services.keys.has_keys(),
        said=said,
        link=link,
        cold=queue.regrade is not None,
    )
    return show(request, "annotate_queue.html", page)


def _goes_to(queue: Queue) -> tuple[str, str]:
    if queue.regrade is None:
        return "Becomes anchors of", queue.anchor_set
    return "Held against", f"{queue.anchor_set}, version {queue.regrade.version}"


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


def _seconds(value: float | None) -> str:
    return NONE if value is None else duration(1000 * value)
