"""The desk: one item at a time before one person, blind, by keyboard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.annotating.desk import BlindItem, Mine
from app.domain.annotation import SKIP_REASONS, Annotator, Queue
from app.domain.ids import read_id, show_id
from app.domain.problems import BadInput
from app.domain.projects import Scope
from app.domain.rubrics import Criterion, RubricKind
from app.web.callers import COOKIE, needs
from app.web.pages.addresses import url
from app.web.pages.charts import share_bar
from app.web.pages.chosen import Option
from app.web.pages.page import HEADERS, show
from app.web.pages.sign_in import LASTS
from app.web.pages.words import count, duration, sentence
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Grader = Annotated[Caller, needs(Scope.ANNOTATE, Scope.ANCHORS)]
As = Annotated[str | None, Query(max_length=200)]
_LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True, slots=True)
class Enter:
    """What an invitation opens."""

    title: str
    key: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that can be chosen; ``key`` is the digit that picks it, empty beyond nine."""

    value: str
    label: str
    key: str
    checked: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One criterion of one answer or pair: ``choices`` on a stepped scale, else a number from low to high."""

    name: str
    legend: str
    choices: tuple[Choice, ...]
    value: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer under the letter it is shown by."""

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
    criteria: tuple[tuple[str, str], ...]
    judgements: tuple[Judgement, ...]
    note: str
    skip_reasons: tuple[Option, ...]
    earlier: tuple[EarlierView, ...]
    back_href: str
    mine_href: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MineLine:
    """An item this person had."""

    href: str
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


@router.get("/ui/annotate/enter")
async def enter(request: Request, key: Annotated[str, Query(max_length=500)] = "") -> Response:
    """What the link of an invitation leads to: a button, so that nothing happens by looking at a link."""
    return show(request, "annotate_enter.html", Enter("You are invited to grade", key), signed_out=True)


@router.post("/ui/annotate/enter")
async def open_desk(
    request: Request, services: Served, key: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Take the key, open a session that can do nothing but grade in its queue."""
    session = await services.keys.open_session(key.strip(), LASTS)
    invitation = await services.people.invitation_of(await services.keys.caller(key.strip()))
    to = url("annotate") if invitation is None else url("annotate", invitation.queue, "grade")
    response = RedirectResponse(to, 303, HEADERS)
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(LASTS.total_seconds()),
        path="/ui",
        secure=request.url.scheme == "https" or services.public_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )
    return response


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
        await services.desk.save(
            queue,
            who,
            item_id,
            scores=_read_scores(queue, form),
            note=form.get("note", ""),
            draft=action == "draft",
            skip_reason=(form.get("skip_reason") or "none chosen") if action == "skip" else None,
        )
    except BadInput as bad:
        if autosave:
            raise
        found = await services.desk.again(queue, who, item_id)
        wrong = tuple(sentence(f"{one.path}: {one.problem}") for one in bad.problems)
        return await _desk(request, services, caller, queue, who, found, wrong=wrong, form=form, status=422)
    if autosave:
        return Response(status_code=204, headers=HEADERS)
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
            href=_address(caller, queue, who, "grade", item=show_id("i", one.queue_item_id)),
            state=SKIP_REASONS.get(one.skip_reason or "", one.state.value),
            said="; ".join(
                f"{name}: {', '.join('–' if v is None else plain(v) for v in values)}"
                for name, values in one.scores.items()
            ),
            note=one.note,
            seconds=duration(1000 * one.seconds),
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
        spent=duration(1000 * mine.seconds),
        item=None if found is None else show_id("i", found.id),
        action=_address(caller, queue, who, "grade"),
        prompt="" if found is None else found.prompt,
        context=None if found is None else found.context,
        reference=None if found is None else found.reference,
        answers=()
        if found is None
        else tuple(Shown(_LETTERS[k], text) for k, text in enumerate(found.answers)),
        instructions=rubric.instructions,
        guidance=queue.guidance,
        criteria=tuple((one.name, one.description) for one in rubric.criteria),
        judgements=() if found is None else tuple(_judgements(found, said)),
        note=said.get("note", "" if found is None else found.said.note),
        skip_reasons=tuple(
            Option(key, words, key == said.get("skip_reason")) for key, words in SKIP_REASONS.items()
        ),
        earlier=() if found is None else tuple(_earlier(found)),
        back_href=url("annotate") if caller.scopes == {Scope.ANNOTATE} else url("annotate", queue.name),
        mine_href=_address(caller, queue, who, "mine"),
        wrong=wrong,
    )


def _judgements(found: BlindItem, form: Mapping[str, str]) -> list[Judgement]:
    rubric, made = found.queue.rubric.rubric, []
    pair, several = rubric.kind is RubricKind.PAIRWISE, len(rubric.criteria) > 1
    for c, criterion in enumerate(rubric.criteria):
        saved = found.scores.get(criterion.name, ())
        for k in range(1 if pair else len(found.answers)):
            field = f"score:{c}:{k}"
            value = form.get(field, _shown_value(saved[k] if k < len(saved) else None))
            if pair:
                legend = f"Which is better on {criterion.name}?" if several else "Which is better?"
            else:
                legend = criterion.name + (f", answer {_LETTERS[k]}" if len(found.answers) > 1 else "")
            scale = criterion.scale
            made.append(
                Judgement(
                    name=field,
                    legend=legend,
                    choices=tuple(_choices(criterion, pair, value)),
                    value=value,
                    low=plain(scale.low),
                    high=plain(scale.high),
                )
            )
    return made


def _choices(criterion: Criterion, pair: bool, value: str) -> list[Choice]:
    """Up to eleven values are buttons; more are typed."""
    if pair:
        named = [("1", "A is better"), ("0", "A tie"), ("-1", "B is better")]
        return [Choice(v, label, str(k), v == value) for k, (v, label) in enumerate(named, 1)]
    values, labels = criterion.scale.values(), criterion.scale.labels
    if not 0 < len(values) <= 11:
        return []
    shown = [plain(one) for one in values]
    digits = len(shown) <= 10 and all(one.isdigit() and len(one) == 1 for one in shown)
    return [
        Choice(
            one, labels[k] if labels else one, one if digits else str(k + 1) if k < 9 else "", one == value
        )
        for k, one in enumerate(shown)
    ]


def _earlier(found: BlindItem) -> list[EarlierView]:
    def words(values: tuple[float | None, ...]) -> str:
        if found.queue.kind is RubricKind.PAIRWISE:
            return {1.0: "A is better", -1.0: "B is better"}.get(values[0] or 0.0, "A tie")
        return ", ".join(_shown_value(one) or "–" for one in values)

    return [
        EarlierView(
            f"Grader {k}", tuple((name, words(values)) for name, values in one.scores.items()), one.note
        )
        for k, one in enumerate(found.earlier, 1)
    ]


def _shown_value(value: float | None) -> str:
    return "" if value is None else plain(value)


def _read_scores(queue: Queue, form: Mapping[str, str]) -> dict[str, tuple[float | None, ...]]:
    """Values of the form by criterion, in the order shown; a criterion without any value is left out."""
    found: dict[str, tuple[float | None, ...]] = {}
    answers = int(form.get("answers", "1")) if form.get("answers", "1").isdigit() else 1
    places = 1 if queue.kind is RubricKind.PAIRWISE else min(answers, len(_LETTERS))
    for c, criterion in enumerate(queue.rubric.rubric.criteria):
        values = tuple(_number(form.get(f"score:{c}:{k}", "")) for k in range(places))
        if any(value is not None for value in values):
            found[criterion.name] = values
    return found


def plain(value: float) -> str:
    """As short as it goes: ``4``, ``2.5``."""
    return f"{value:g}"


def _number(text: str) -> float | None:
    """What was typed; what is no number is off every scale."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return float("nan")
