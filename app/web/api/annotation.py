"""Queues in which people grade: made and filled, graded blind, settled, and turned into anchors."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from app.access.keys import Caller
from app.annotating.desk import BlindItem
from app.annotating.progress import Progress
from app.annotating.queues import NamedItem
from app.domain.annotation import SKIP_REASONS, Invitation, Queue
from app.domain.ids import read_id, show_id
from app.domain.projects import Scope
from app.web.api.anchor_sets import AnchorSetOut
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name, Text
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["annotation"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ, Scope.ANCHORS)]
Runner = Annotated[Caller, needs(Scope.ANCHORS)]
Grader = Annotated[Caller, needs(Scope.ANNOTATE, Scope.ANCHORS)]
QueueName = Annotated[str, Path(max_length=100, description="Name of the queue.", examples=["july-sample"])]
ItemId = Annotated[str, Path(description="Id of the item.", examples=["i_0c5mtzk3q8v1a"])]
SkipReason = Literal["cannot_judge", "unreadable", "rubric_does_not_fit", "knows_the_answer_is_mine", "other"]
assert set(SKIP_REASONS) == set(SkipReason.__args__)  # type: ignore[attr-defined]
AnnotatorQuery = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Who grades. With an invitation it is who was invited, and may be left out.",
        examples=["kim"],
    ),
]
TypeQuery = Annotated[
    str | None,
    Query(max_length=200, description="What kind of person the annotator is.", examples=["expert"]),
]


class QueueIn(Body):
    """A queue to be made."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$",
        description="Its name: letters, digits, spaces, dots, hyphens, underscores.",
        examples=["july-sample"],
    )
    rubric: Name = Field(description="Rubric to grade by, at its newest version.", examples=["helpfulness"])
    anchor_set: Name = Field(
        description="The anchor set that the grades go to; made when they do.", examples=["helpfulness-2026"]
    )
    guidance: Text = Field(
        "", max_length=20_000, description="What else graders should know.", examples=["Be strict."]
    )


class PersonOut(Answered):
    """One person's part of a queue."""

    annotator: str = Field(description="Who.", examples=["kim"])
    annotator_type: str = Field(description="What kind of person.", examples=["expert"])
    done: int = Field(description="Grades given.", examples=[31])
    skipped: int = Field(description="Items skipped with a reason.", examples=[1])
    seconds: float | None = Field(description="Median seconds per item.", examples=[42.0])


class QueueOut(Answered):
    """A queue as it stands."""

    name: str = Field(description="Its name.", examples=["july-sample"])
    rubric: str = Field(description="Rubric graded by.", examples=["helpfulness"])
    rubric_version: int = Field(description="Its version, which stays.", examples=[3])
    anchor_set: str = Field(description="Where the grades go.", examples=["helpfulness-2026"])
    guidance: str = Field(description="What else graders should know.", examples=["Be strict."])
    cold: bool = Field(
        description="Whether it holds anchors to be graded once more: its grades go into an audit only.",
        examples=[False],
    )
    open: bool = Field(description="Whether people can grade in it.", examples=[True])
    created_at: datetime = Field(description="When it was made.", examples=["2026-11-22T10:00:00Z"])
    items: int = Field(description="Items in it.", examples=[50])
    wanted: int = Field(description="Grades wanted: some items want two people.", examples=[60])
    doubles: int = Field(description="Items that two people grade.", examples=[10])
    done: int = Field(description="Grades given.", examples=[31])
    finished: int = Field(description="Items with all the grades they want.", examples=[28])
    skipped: int = Field(description="Times an item was skipped.", examples=[1])
    disagreements: int = Field(description="Items on which people are apart, unsettled.", examples=[2])
    adjudicated: int = Field(description="Such items that somebody settled.", examples=[1])
    seconds: float | None = Field(description="Median seconds per item over everyone.", examples=[42.0])
    people: list[PersonOut] = Field(description="Who did how much.", examples=[[]])


class QueuesOut(Answered):
    """The project's queues."""

    items: list[QueueOut] = Field(description="The newest first.", examples=[[]])


class OpenIn(Body):
    """Whether people can grade."""

    open: bool = Field(description="False closes the queue.", examples=[False])


class NamedIn(Body):
    """An item named by hand."""

    item_id: Name = Field(description="The item's own id.", examples=["q-17"])
    systems: list[Name] = Field(
        min_length=1, max_length=10, description="Whose answers to show.", examples=[["bot-v7"]]
    )


class ItemsIn(Body):
    """Items to put into a queue by name."""

    items: list[NamedIn] = Field(
        min_length=1,
        max_length=5_000,
        description="Items whose texts the service knows.",
        examples=[[{"item_id": "q-17", "systems": ["bot-v7"]}]],
    )
    graders: int = Field(1, ge=1, le=5, description="How many people should grade each.", examples=[2])


class ItemsOut(Answered):
    """What was put into a queue."""

    added: int = Field(description="Items that were not in it yet.", examples=[20])


class DrawIn(Body):
    """Items to be drawn."""

    grades: int = Field(ge=1, le=5_000, description="How many items to draw.", examples=[50])
    criterion: Name | None = Field(
        None,
        description="Whose intervals the draw is to narrow; the first by default.",
        examples=["helpfulness"],
    )
    uniform_share: float = Field(
        0.5, description="Share drawn evenly, at least a half: it keeps estimates valid.", examples=[0.5]
    )
    double_share: float = Field(
        0.2, description="Share that two people grade: it tells how far people agree.", examples=[0.2]
    )
    seed: int | None = Field(None, ge=0, lt=2**53, description="Repeats an earlier draw.", examples=[7])


class DrawOut(Answered):
    """What a draw put into a queue."""

    items: int = Field(description="Items drawn.", examples=[50])
    doubles: int = Field(description="Of them for two people.", examples=[10])
    population: int = Field(description="How many could have been drawn.", examples=[4_210])
    untexted: int = Field(
        description="How many could not, since their texts are not known here.", examples=[0]
    )
    seed: int = Field(description="Repeats the draw on the same data.", examples=[7])
    by_system: dict[str, int] = Field(description="Items per system.", examples=[{"bot-v7": 26}])


class InvitationIn(Body):
    """A person to be invited."""

    annotator: Name = Field(description="Who; a grade of theirs is known by this name.", examples=["kim"])
    annotator_type: Name = Field(
        "expert", description="What kind of person; never a model.", examples=["expert"]
    )
    expires_at: datetime | None = Field(
        None,
        description="When the invitation ends; by default it does not.",
        examples=["2027-01-31T00:00:00Z"],
    )


class InvitationOut(Answered):
    """An invitation, without its key."""

    id: str = Field(description="Id of its key.", examples=["k_0c5mtzk3q8v1a"])
    annotator: str = Field(description="Who.", examples=["kim"])
    annotator_type: str = Field(description="What kind of person.", examples=["expert"])
    created_at: datetime = Field(description="When it was made.", examples=["2026-11-22T10:00:00Z"])
    expires_at: datetime | None = Field(description="When it ends.", examples=[None])
    revoked_at: datetime | None = Field(description="When it was taken back.", examples=[None])


class NewInvitationOut(InvitationOut):
    """A new invitation: the only time its key and link are shown."""

    key: str = Field(description="Grades in this queue and opens nothing else.", examples=["vk3f9a…"])
    link: str = Field(
        description="What to send the person; begins with VENIRE_PUBLIC_URL, if that is set.",
        examples=["https://venire.example/ui/annotate/enter?key=vk3f9a…"],
    )


class InvitationsOut(Answered):
    """Who was invited to a queue."""

    items: list[InvitationOut] = Field(description="The oldest first.", examples=[[]])


class EarlierOut(Answered):
    """What another person said, unnamed; only for whoever settles a disagreement."""

    scores: dict[str, list[float | None]] = Field(
        description="Criterion to values, in the order shown here.", examples=[{"helpfulness": [2]}]
    )
    note: str = Field(description="Their note.", examples=["It invents a menu."])


class BlindItemOut(Answered):
    """An item to grade. It names no system, no judge, no other person."""

    id: str = Field(description="Id of the item in its queue.", examples=["i_0c5mtzk3q8v1a"])
    prompt: str = Field(description="What was asked.", examples=["How do I undo a commit?"])
    context: str | None = Field(description="What the answers could rest on.", examples=[None])
    reference: str | None = Field(description="An answer known to be right.", examples=[None])
    answers: list[str] = Field(
        description="In an order drawn for this person.", examples=[["git reset --soft HEAD~1"]]
    )
    scores: dict[str, list[float | None]] = Field(
        description="What this person saved so far, in that order.", examples=[{"helpfulness": [4]}]
    )
    note: str = Field(description="Their note.", examples=[""])
    state: Literal["open", "done", "skipped"] = Field(description="What became of it.", examples=["open"])
    earlier: list[EarlierOut] = Field(description="Others' grades, if this settles them.", examples=[[]])


class NextOut(Answered):
    """What a person should grade now."""

    item: BlindItemOut | None = Field(description="Null when nothing is left.", examples=[None])
    done: int = Field(description="Grades this person gave.", examples=[12])
    left: int = Field(description="Items that could still be theirs.", examples=[8])


class GradeIn(Body):
    """What a person says of an item."""

    scores: dict[str, list[float | None]] = Field(
        default_factory=dict,
        description="Criterion to one value per answer, in the order shown. For a pair one value: 1 (the "
        "first shown is better), 0 (a tie) or -1.",
        examples=[{"helpfulness": [4]}],
    )
    note: Text = Field("", description="Why, for whoever reads it later.", examples=["Right, but long."])
    draft: bool = Field(False, description="Save and go on later; may be incomplete.", examples=[False])
    skip_reason: SkipReason | None = Field(
        None, description="Why the item is left ungraded.", examples=["cannot_judge"]
    )


class GradeOut(Answered):
    """What was saved."""

    id: str = Field(description="Id of the item.", examples=["i_0c5mtzk3q8v1a"])
    state: Literal["open", "done", "skipped"] = Field(description="How it stands now.", examples=["done"])
    seconds: float = Field(description="How long it was before the person.", examples=[41.5])


class DisagreementOut(Answered):
    """An item on which independent graders are apart."""

    id: str = Field(description="Id of the item.", examples=["i_0c5mtzk3q8v1a"])
    criteria: list[str] = Field(description="On which criteria.", examples=[["helpfulness"]])
    graders: int = Field(description="How many graded it.", examples=[2])
    settled: bool = Field(description="Whether somebody settled it.", examples=[False])


class DisagreementsOut(Answered):
    """Where people are apart."""

    items: list[DisagreementOut] = Field(description="In no particular order.", examples=[[]])


class PublishedOut(Answered):
    """What became of a queue's grades."""

    grades: int = Field(description="Grades of the queue in the set, one per criterion.", examples=[60])
    changed: bool = Field(description="Whether this made a new version.", examples=[True])
    anchor_set: AnchorSetOut = Field(
        description="The set as it stands.", examples=[{"name": "helpfulness-2026", "version": 2}]
    )


@router.post(
    "/annotation-queues",
    status_code=201,
    summary="Make a queue for people to grade in",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def create_queue(body: QueueIn, caller: Runner, services: Served) -> QueueOut:
    """It stays with the rubric's version of now. Fill it by a draw or by name, then invite people."""
    queue = await services.queues.create(
        caller.project,
        name=body.name,
        rubric=body.rubric,
        anchor_set=body.anchor_set,
        guidance=body.guidance,
    )
    return _queue(queue, await services.queues.progress(queue))


@router.get("/annotation-queues", summary="The project's queues", responses=documented(422))
async def list_queues(caller: Reader, services: Served) -> QueuesOut:
    """With how far they are."""
    found = await services.queues.list(caller.project)
    return QueuesOut(items=[_queue(one, await services.queues.progress(one)) for one in found])


@router.get("/annotation-queues/{name}", summary="A queue", responses=documented(404, 422))
async def get_queue(name: QueueName, caller: Reader, services: Served) -> QueueOut:
    """How far it is, and who did how much."""
    queue = await services.queues.get(caller.project, name)
    return _queue(queue, await services.queues.progress(queue))


@router.patch(
    "/annotation-queues/{name}",
    summary="Open or close a queue",
    responses=documented(400, 404, 413, 415, 422),
)
async def patch_queue(name: QueueName, body: OpenIn, caller: Runner, services: Served) -> QueueOut:
    """In a closed queue nobody can grade; what was graded stays."""
    queue = await services.queues.set_open(await services.queues.get(caller.project, name), body.open)
    return _queue(queue, await services.queues.progress(queue))


@router.post(
    "/annotation-queues/{name}/items",
    summary="Put items into a queue by name",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def add_items(name: QueueName, body: ItemsIn, caller: Runner, services: Served) -> ItemsOut:
    """All or none. Their anchors carry no chance of being drawn, since they were chosen."""
    queue = await services.queues.get(caller.project, name)
    named = [NamedItem(one.item_id, tuple(one.systems)) for one in body.items]
    return ItemsOut(added=await services.queues.add(caller.project, queue, named, body.graders))


@router.post(
    "/annotation-queues/{name}/draws",
    summary="Draw items into a queue",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def draw_items(name: QueueName, body: DrawIn, caller: Runner, services: Served) -> DrawOut:
    """Half of the draws are even, half go where a human grade buys most; each item's chance is logged."""
    queue = await services.queues.get(caller.project, name)
    drawn = await services.queues.draw(
        caller.project,
        queue,
        count=body.grades,
        criterion=body.criterion,
        uniform_share=body.uniform_share,
        double_share=body.double_share,
        seed=body.seed,
    )
    return DrawOut(
        items=drawn.items,
        doubles=drawn.doubles,
        population=drawn.population,
        untexted=drawn.untexted,
        seed=drawn.seed,
        by_system=dict(drawn.by_system),
    )


@router.post(
    "/annotation-queues/{name}/invitations",
    status_code=201,
    summary="Invite a person to grade",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def invite(name: QueueName, body: InvitationIn, caller: Runner, services: Served) -> NewInvitationOut:
    """Makes a key that grades in this queue and that every other route refuses."""
    queue = await services.queues.get(caller.project, name)
    made = await services.people.invite(
        caller.project, queue, name=body.annotator, type=body.annotator_type, expires_at=body.expires_at
    )
    link = f"{services.public_url}/ui/annotate/enter?key={made.token}"
    return NewInvitationOut(**_invitation(made.invitation).model_dump(), key=made.token, link=link)


@router.get(
    "/annotation-queues/{name}/invitations", summary="Who was invited", responses=documented(404, 422)
)
async def list_invitations(name: QueueName, caller: Runner, services: Served) -> InvitationsOut:
    """Also those who no longer are."""
    queue = await services.queues.get(caller.project, name)
    return InvitationsOut(items=[_invitation(one) for one in await services.people.invited(queue)])


@router.delete(
    "/annotation-queues/{name}/invitations/{key_id}",
    status_code=204,
    summary="Take an invitation back",
    responses=documented(404, 422),
)
async def revoke_invitation(
    name: QueueName,
    key_id: Annotated[str, Path(description="Id of the invitation.", examples=["k_0c5mtzk3q8v1a"])],
    caller: Runner,
    services: Served,
) -> Response:
    """What the person graded stays."""
    queue = await services.queues.get(caller.project, name)
    await services.people.revoke(caller.project, queue, key_id)
    return Response(status_code=204)


@router.post(
    "/annotation-queues/{name}/next",
    summary="The next item for a person",
    responses=documented(400, 404, 409, 422),
)
async def next_item(
    name: QueueName,
    caller: Grader,
    services: Served,
    annotator: AnnotatorQuery = None,
    annotator_type: TypeQuery = None,
) -> NextOut:
    """What they have open, else the next one, which is held for them for half an hour."""
    who = await services.people.who(caller, name, annotator, annotator_type or "expert")
    queue = await services.queues.get(caller.project, name)
    item = await services.desk.next(queue, who)
    mine = await services.desk.mine(queue, who)
    return NextOut(item=None if item is None else _blind(item), done=mine.done, left=mine.left)


@router.put(
    "/annotation-queues/{name}/items/{item_id}/grade",
    summary="Grade, save or skip an item",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def put_grade(
    name: QueueName,
    item_id: ItemId,
    body: GradeIn,
    caller: Grader,
    services: Served,
    annotator: AnnotatorQuery = None,
    annotator_type: TypeQuery = None,
) -> GradeOut:
    """Only an item that was before this person. It may be graded again while the queue is open."""
    who = await services.people.who(caller, name, annotator, annotator_type or "expert")
    queue = await services.queues.get(caller.project, name)
    saved = await services.desk.save(
        queue,
        who,
        read_id("i", item_id),
        scores=body.scores,
        note=body.note,
        draft=body.draft,
        skip_reason=body.skip_reason,
    )
    return GradeOut(id=item_id, state=saved.state.value, seconds=saved.seconds)


@router.get(
    "/annotation-queues/{name}/disagreements",
    summary="Where people are apart",
    responses=documented(404, 422),
)
async def list_disagreements(name: QueueName, caller: Runner, services: Served) -> DisagreementsOut:
    """Items with two grades more than a quarter of the scale apart; for pairs, with two different choices."""
    queue = await services.queues.get(caller.project, name)
    found = await services.queues.disagreements(queue)
    return DisagreementsOut(
        items=[
            DisagreementOut(
                id=show_id("i", one.item.id),
                criteria=list(one.criteria),
                graders=len(one.grades),
                settled=one.settled is not None,
            )
            for one in found
        ]
    )


@router.post(
    "/annotation-queues/{name}/items/{item_id}/adjudication",
    summary="Take up a disagreement",
    responses=documented(400, 404, 409, 422),
)
async def take_up(
    name: QueueName,
    item_id: ItemId,
    caller: Runner,
    services: Served,
    annotator: AnnotatorQuery = None,
    annotator_type: TypeQuery = None,
) -> BlindItemOut:
    """Shows a third person what the others said, unnamed. Settle it by grading the item."""
    who = await services.people.who(caller, name, annotator, annotator_type or "expert")
    queue = await services.queues.get(caller.project, name)
    return _blind(await services.desk.adjudicate(queue, who, read_id("i", item_id)))


@router.post(
    "/annotation-queues/{name}/publish",
    summary="Make anchors of a queue's grades",
    responses=documented(404, 409, 422),
)
async def publish(name: QueueName, caller: Runner, services: Served) -> PublishedOut:
    """The next version of the queue's anchor set; twice changes nothing. Schedules a calibration."""
    queue = await services.queues.get(caller.project, name)
    done = await services.publishing.publish(caller.project, queue)
    return PublishedOut(grades=done.grades, changed=done.changed, anchor_set=AnchorSetOut.of(done.version))


def _queue(queue: Queue, stands: Progress) -> QueueOut:
    return QueueOut(
        name=queue.name,
        rubric=queue.rubric.rubric.name,
        rubric_version=queue.rubric.version,
        anchor_set=queue.anchor_set,
        guidance=queue.guidance,
        cold=queue.regrade is not None,
        open=queue.open,
        created_at=queue.created_at,
        items=stands.items,
        wanted=stands.wanted,
        doubles=stands.doubles,
        done=stands.done,
        finished=stands.finished,
        skipped=stands.skipped,
        disagreements=stands.disagreements,
        adjudicated=stands.adjudicated,
        seconds=stands.seconds,
        people=[
            PersonOut(
                annotator=one.annotator.name,
                annotator_type=one.annotator.type,
                done=one.done,
                skipped=one.skipped,
                seconds=one.seconds,
            )
            for one in stands.people
        ],
    )


def _invitation(one: Invitation) -> InvitationOut:
    return InvitationOut(
        id=show_id("k", one.key_id),
        annotator=one.annotator.name,
        annotator_type=one.annotator.type,
        created_at=one.created_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
    )


def _blind(item: BlindItem) -> BlindItemOut:
    return BlindItemOut(
        id=show_id("i", item.id),
        prompt=item.prompt,
        context=item.context,
        reference=item.reference,
        answers=list(item.answers),
        scores={name: list(values) for name, values in item.scores.items()},
        note=item.said.note,
        state=item.said.state.value,
        earlier=[
            EarlierOut(scores={name: list(values) for name, values in one.scores.items()}, note=one.note)
            for one in item.earlier
        ],
    )
