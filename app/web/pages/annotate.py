"""One queue as whoever runs it sees it: its people, draws, invitations and disagreements."""

from dataclasses import dataclass
from textwrap import shorten
from typing import Annotated

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.progress import Progress
from app.annotating.queues import MOST_ITEMS
from app.domain.annotation import Queue
from app.domain.ids import show_id
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.annotate_queues import USUAL, Planned, Runner
from app.web.pages.charts import share_bar
from app.web.pages.page import HEADERS, Link, may, show
from app.web.pages.words import count, moment, time_spent
from app.web.services import Served

router = APIRouter(include_in_schema=False)


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
    """An item on which people are apart; ``about`` is how its question begins."""

    id: str
    about: str
    criteria: str
    graders: str
    settled: bool


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One queue. ``said`` tells what was just done, ``then`` where that leads; ``link`` is a new
    invitation's, shown this once. ``grades`` is how many items to draw, ``settler``
    who settled the last disagreement; ``cold`` marks anchors that are graded once more.
    """

    title: str
    name: str
    base: str
    open: bool
    facts: tuple[tuple[str, str], ...]
    bar: Markup
    empty: bool
    graded: bool
    people: tuple[PersonLine, ...]
    invitations: tuple[InvitationLine, ...]
    apart: tuple[ApartLine, ...]
    settler: str
    criteria: tuple[str, ...]
    anchor_set: str
    grades: str
    set_href: str
    may_run: bool
    keyless: bool
    said: str | None
    then: tuple[Link, ...]
    link: str | None
    cold: bool


@router.get("/ui/annotate/{name}")
async def show_queue(
    request: Request,
    name: str,
    caller: Annotated[Caller, needs(Scope.READ, Scope.ANCHORS)],
    services: Served,
    grades: Planned = USUAL,
    settler: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """How far it is."""
    return await _show(request, services, caller, name, grades=grades, settler=settler)


@router.post("/ui/annotate/{name}/draw")
async def draw(
    request: Request,
    name: str,
    caller: Runner,
    services: Served,
    grades: Annotated[int, Form(ge=1, le=MOST_ITEMS)],
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
    then = (
        Link("See the calibrations", url("calibrations", rubric=queue.rubric.rubric.name)),
        Link("Audit the set", url("audits", anchor_set=queue.anchor_set)),
    )
    if not done.changed:
        said = f"Nothing new: all is in {version}."
    return await _show(request, services, caller, name, said=said, then=then)


async def _show(
    request: Request,
    services: Served,
    caller: Caller,
    name: str,
    *,
    said: str | None = None,
    then: tuple[Link, ...] = (),
    link: str | None = None,
    grades: int = USUAL,
    settler: str = "",
) -> Response:
    queue = await services.queues.get(caller.project, name)
    stands = await services.queues.progress(queue)
    runs = may(request, Scope.ANCHORS)
    apart = await services.queues.disagreements(queue) if runs and queue.regrade is None else ()
    asked = await services.queues.questions([one.item for one in apart])
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
            *_settled(queue, stands),
            ("Time per item", time_spent(stands.seconds)),
        ),
        bar=share_bar(stands.done / stands.wanted if stands.wanted else 0.0),
        empty=not stands.items,
        graded=stands.done > 0,
        people=tuple(
            PersonLine(
                one.annotator.name,
                one.annotator.type,
                count(one.done),
                count(one.skipped),
                time_spent(one.seconds),
            )
            for one in stands.people
        ),
        invitations=tuple(
            InvitationLine(
                id=show_id("k", one.key_id),
                name=one.annotator.name,
                type=one.annotator.type,
                until=f"until {moment(one.expires_at)}" if one.expires_at else "without an end",
                live=one.revoked_at is None,
            )
            for one in invited
        ),
        apart=tuple(
            ApartLine(
                show_id("i", one.item.id),
                shorten(asked[one.item.id], 80, placeholder="…") or show_id("i", one.item.id),
                ", ".join(one.criteria),
                count(len(one.grades)),
                one.settled is not None,
            )
            for one in apart
        ),
        settler=settler,
        criteria=tuple(one.name for one in rubric.criteria),
        anchor_set=queue.anchor_set,
        grades=str(grades),
        set_href=url("anchor-sets", queue.anchor_set),
        may_run=runs,
        keyless=not await services.keys.has_keys(),
        said=said,
        then=then,
        link=link,
        cold=queue.regrade is not None,
    )
    return show(request, "annotate_queue.html", page)


def _goes_to(queue: Queue) -> tuple[str, str]:
    if queue.regrade is None:
        return "Becomes anchors of", queue.anchor_set
    return "Held against", f"{queue.anchor_set}, version {queue.regrade.version}"


def _settled(queue: Queue, stands: Progress) -> tuple[tuple[str, str], ...]:
    """Nothing is settled among people who grade cold."""
    if queue.regrade is not None:
        return ()
    return (("Disagreements", f"{count(stands.disagreements)} open, {count(stands.adjudicated)} settled"),)
