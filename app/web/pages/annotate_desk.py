"""The desk: one item at a time before one person, blind, by keyboard."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Annotated

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.desk import BlindItem, Mine
from app.domain.annotation import SKIP_REASONS, Annotator, Queue, State
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import share_bar
from app.web.pages.chosen import Option
from app.web.pages.desk_form import LETTERS, Judgement, in_words, judgements, read_scores, said_wrong
from app.web.pages.page import HEADERS, show
from app.web.pages.words import count, time_spent
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Grader = Annotated[Caller, needs(Scope.ANNOTATE, Scope.ANCHORS)]
As = Annotated[str | None, Query(max_length=200)]
_STATES = {State.OPEN: "begun", State.DONE: "graded", State.SKIPPED: "skipped"}


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer under the letter it is shown by, empty for one that stands alone."""

    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class EarlierView:
    """What another person said, for whoever settles it."""

    title: str
    said: tuple[tuple[str, str], ...]
    note: str


@dataclass(frozen=True, slots=True)
class DeskPage:
    """One item, or ``item`` None when nothing is left. ``wrong`` says why a grade was not taken."""

    title: str
    queue: str
    who: str
    done: str
    left: str
    bar: Markup
    spent: str
    item: str | None
    action: str
    prompt: str
    context: str | None
    reference: str | None
    answers: tuple[Shown, ...]
    instructions: str
    guidance: str
    judgements: tuple[Judgement, ...]
    note: str
    skip_reasons: tuple[Option, ...]
    earlier: tuple[EarlierView, ...]
    back_href: str
    mine_href: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MineLine:
    """An item this person had; ``about`` is how its question begins."""

    href: str
    about: str
    state: str
    said: str
    note: str
    seconds: str


@dataclass(frozen=True, slots=True)
class MinePage:
    """What one person graded."""

    title: str
    who: str
    lines: tuple[MineLine, ...]
    desk_href: str


@router.get("/ui/annotate/{name}/grade")
async def show_desk(
    request: Request,
    name: str,
    caller: Grader,
    services: Served,
    annotator: As = None,
    annotator_type: As = None,
    item: Annotated[str | None, Query(max_length=40)] = None,
) -> Response:
    """The next item, or one that this person had before."""
    who = await services.people.who(caller, name, annotator, annotator_type)
    queue = await services.queues.get(caller.project, name)
    if item is None:
        found = await services.desk.next(queue, who)
    else:
        found = await services.desk.again(queue, who, read_id("i", item))
    return await _desk(request, services, caller, queue, who, found)


@router.get("/ui/annotate/{name}/settle")
async def show_settling(
    request: Request,
    name: str,
    caller: Annotated[Caller, needs(Scope.ANCHORS)],
    services: Served,
    item: Annotated[str, Query(max_length=40)],
    annotator: As = None,
    annotator_type: As = None,
) -> Response:
    """An item on which others disagree, for a third person."""
    who = await services.people.who(caller, name, annotator, annotator_type)
    queue = await services.queues.get(caller.project, name)
    found = await services.desk.adjudicate(queue, who, read_id("i", item))
    return await _desk(request, services, caller, queue, who, found)


@router.post("/ui/annotate/{name}/grade")
async def save_grade(
    request: Request,
    name: str,
    caller: Grader,
    services: Served,
    item: Annotated[str, Form(max_length=40)],
    annotator: As = None,
    annotator_type: As = None,
) -> Response:
    """Take a grade, a draft or a skip, and go to the next item."""
    who = await services.people.who(caller, name, annotator, annotator_type)
    queue = await services.queues.get(caller.project, name)
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    action, item_id = form.get("action", "submit"), read_id("i", item)
    autosave = "x-autosave" in request.headers
    try:
        saved = await services.desk.save(
            queue,
            who,
            item_id,
            scores=read_scores(queue, form, all=action == "submit"),
            note=form.get("note", ""),
            draft=action == "draft",
            skip_reason=(form.get("skip_reason") or "none chosen") if action == "skip" else None,
        )
    except BadInput as bad:
        if autosave:
            raise
        found = await services.desk.again(queue, who, item_id)
        wrong = said_wrong(found, bad.problems)
        return await _desk(request, services, caller, queue, who, found, wrong=wrong, form=form, status=422)
    if autosave:
        return Response(status_code=204, headers=HEADERS)
    if saved.adjudicates:
        return RedirectResponse(url("annotate", queue.name, settler=who.name) + "#apart", 303, HEADERS)
    # A draft stays before its person, so it would come again at once: what they had is the place to go on.
    to = "mine" if action == "draft" else "grade"
    return RedirectResponse(_address(caller, queue, who, to), 303, HEADERS)


@router.get("/ui/annotate/{name}/mine")
async def show_mine(
    request: Request,
    name: str,
    caller: Grader,
    services: Served,
    annotator: As = None,
    annotator_type: As = None,
) -> Response:
    """What this person graded, to look at it again."""
    who = await services.people.who(caller, name, annotator, annotator_type)
    queue = await services.queues.get(caller.project, name)
    lines = tuple(
        MineLine(
            href=_address(caller, queue, who, "grade", item=show_id("i", one.id)),
            about=shorten(one.prompt, 80, placeholder="…") or "No question",
            state=SKIP_REASONS.get(one.said.skip_reason or "", _STATES[one.said.state]),
            said="; ".join(f"{name}: {in_words(queue, name, values)}" for name, values in one.scores.items()),
            note=one.said.note,
            seconds=time_spent(one.said.seconds),
        )
        for one in await services.desk.history(queue, who)
    )
    page = MinePage(f"{queue.name}: what you graded", who.name, lines, _address(caller, queue, who, "grade"))
    return show(request, "annotate_mine.html", page)


def _address(caller: Caller, queue: Queue, who: Annotator, *rest: str, item: str | None = None) -> str:
    """A page of the desk; whoever came without an invitation has the person's name in it."""
    if caller.scopes == {Scope.ANNOTATE}:
        return url("annotate", queue.name, *rest, item=item)
    return url("annotate", queue.name, *rest, annotator=who.name, annotator_type=who.type, item=item)


async def _desk(
    request: Request,
    services: Services,
    caller: Caller,
    queue: Queue,
    who: Annotator,
    found: BlindItem | None,
    *,
    wrong: tuple[str, ...] = (),
    form: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    mine = await services.desk.mine(queue, who)
    page = _page(caller, queue, who, found, mine, wrong, form)
    return show(request, "annotate_desk.html", page, status=status, script="annotate.js")


def _page(
    caller: Caller,
    queue: Queue,
    who: Annotator,
    found: BlindItem | None,
    mine: Mine,
    wrong: tuple[str, ...],
    form: Mapping[str, str] | None,
) -> DeskPage:
    rubric, total = queue.rubric.rubric, mine.done + mine.skipped + mine.left
    said = {} if form is None else form
    return DeskPage(
        title=f"Grade: {queue.name}",
        queue=queue.name,
        who=who.name,
        done=count(mine.done),
        left=count(mine.left),
        bar=share_bar((mine.done + mine.skipped) / total if total else 0.0),
        spent=time_spent(mine.seconds),
        item=None if found is None else show_id("i", found.id),
        action=_address(caller, queue, who, "grade"),
        prompt="" if found is None else found.prompt,
        context=None if found is None else found.context,
        reference=None if found is None else found.reference,
        answers=()
        if found is None
        else tuple(
            Shown(LETTERS[k] if len(found.answers) > 1 else "", text) for k, text in enumerate(found.answers)
        ),
        instructions=rubric.instructions,
        guidance=queue.guidance,
        judgements=() if found is None else judgements(found, said),
        note=said.get("note", "" if found is None else found.said.note),
        skip_reasons=tuple(
            Option(key, words, key == said.get("skip_reason")) for key, words in SKIP_REASONS.items()
        ),
        earlier=() if found is None else tuple(_earlier(found)),
        back_href=_address(caller, queue, who, "mine")
        if caller.scopes == {Scope.ANNOTATE}
        else url("annotate", queue.name),
        mine_href=_address(caller, queue, who, "mine"),
        wrong=wrong,
    )


def _earlier(found: BlindItem) -> list[EarlierView]:
    return [
        EarlierView(
            f"Grader {k}",
            tuple((name, in_words(found.queue, name, values)) for name, values in one.scores.items()),
            one.note,
        )
        for k, one in enumerate(found.earlier, 1)
    ]
