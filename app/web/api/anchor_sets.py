"""GET /anchor-sets and what is beneath: versions, differences, exports, retiring."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, model_validator
from starlette.responses import StreamingResponse

from app.access.keys import Caller
from app.anchoring.anchor_sets import Change, ChangeKind, difference, export, version_of
from app.domain.anchors import AnchorSetVersion, Retirement
from app.domain.projects import Scope
from app.domain.rubrics import RubricKind
from app.web.anchor_files import changes_csv, members_csv, members_json_lines
from app.web.callers import needs
from app.web.downloads import attachment
from app.web.errors import documented
from app.web.fields import Answered, Body, Name, Text
from app.web.paging import Page, PageRequest, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["anchors"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]
SetName = Annotated[
    str, Path(min_length=1, max_length=200, description="Name of the set.", examples=["helpfulness-2026"])
]
VersionNumber = Annotated[
    int | None, Query(ge=1, le=10**6, description="The version; left out, the newest.", examples=[2])
]
_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class AnchorSetOut(Answered):
    """An anchor set at one version, which never changes."""

    name: str = Field(description="Name of the set.", examples=["helpfulness-2026"])
    rubric: str = Field(description="Name of the rubric it belongs to.", examples=["helpfulness"])
    version: int = Field(description="Counts the changes, from 1.", examples=[2])
    parent: int | None = Field(description="The version it was made from.", examples=[1])
    items: int = Field(description="Items with human grades.", examples=[120])
    grades: int = Field(description="Human grades.", examples=[360])
    annotators: int = Field(description="People who gave them.", examples=[3])
    added: int = Field(description="Grades added or changed since the parent.", examples=[40])
    removed: int = Field(description="Grades changed or taken out since the parent.", examples=[0])
    sha256: str = Field(description="Hash of the upload that made it.", examples=[_SHA])
    content_sha256: str | None = Field(
        description="Hash of what the set holds at this version: item, texts, annotator, criterion and grade "
        "of every member. Equal content, equal hash. Null in lists where it is yet to be computed.",
        examples=[_SHA],
    )
    created_at: datetime = Field(description="When it was made.", examples=["2026-11-22T10:00:00Z"])
    warnings: list[str] = Field(description="What the upload was warned of.", examples=[[]])

    @staticmethod
    def of(version: AnchorSetVersion) -> "AnchorSetOut":
        """The version as it is shown."""
        return AnchorSetOut(
            name=version.anchor_set,
            rubric=version.rubric,
            version=version.version,
            parent=version.parent,
            items=version.items,
            grades=version.grades,
            annotators=version.annotators,
            added=version.added,
            removed=version.removed,
            sha256=version.sha256,
            content_sha256=version.content_sha256,
            created_at=version.created_at,
            warnings=list(version.warnings),
        )


class AnchorSetHistory(AnchorSetOut):
    """An anchor set at its newest version, with all its versions."""

    versions: list[AnchorSetOut] = Field(description="Every version, newest first.", examples=[[]])


@router.get("/anchor-sets", summary="The newest version of each anchor set", responses=documented(422))
async def list_anchor_sets(
    caller: Reader,
    services: Served,
    paging: Paging,
    rubric: Annotated[
        str | None, Query(max_length=200, description="Only sets of this rubric.", examples=["helpfulness"])
    ] = None,
) -> Page[AnchorSetOut]:
    """By name."""
    page = await services.anchors.list(
        caller.project, rubric=rubric, limit=paging.limit, cursor=paging.cursor
    )
    return Page(items=[AnchorSetOut.of(version) for version in page.items], next_cursor=page.next_cursor)


@router.get("/anchor-sets/{name}", summary="An anchor set and its versions", responses=documented(404, 422))
async def get_anchor_set(
    name: SetName,
    caller: Reader,
    services: Served,
) -> AnchorSetHistory:
    """Versions never change: what a calibration rests on can be found again."""
    versions = [AnchorSetOut.of(version) for version in await services.anchors.versions(caller.project, name)]
    return AnchorSetHistory(**versions[0].model_dump(), versions=versions)


class RetireIn(Body):
    """What leaves a set."""

    items: list[Name] = Field(
        default_factory=list, max_length=10_000, description="Items, by your ids.", examples=[["q-17"]]
    )
    annotators: list[Name] = Field(
        default_factory=list,
        max_length=1_000,
        description="People, by name: everything they gave leaves.",
        examples=[["ann"]],
    )
    everything: bool = Field(
        default=False, description="The whole set: no calibration rests on it any more.", examples=[False]
    )
    reason: Text = Field(min_length=1, max_length=2_000, description="Why.", examples=["seen in training"])
    dry_run: bool = Field(default=False, description="Only tell what would leave.", examples=[False])

    @model_validator(mode="after")
    def _names_something(self) -> "RetireIn":
        if not (self.items or self.annotators or self.everything):
            raise ValueError("name items or annotators that are to leave, or send everything: true")
        return self


class RetirementOut(AnchorSetOut):
    """The set as it stands afterwards, and what left it (dry run: would leave it)."""

    retired_grades: int = Field(description="Grades that left.", examples=[12])
    retired_items: int = Field(description="Items of which a grade left.", examples=[4])
    retired_annotators: int = Field(description="People of whom a grade left.", examples=[1])
    unknown: list[str] = Field(description="Names that nothing in the set has.", examples=[["q-99"]])
    dry_run: bool = Field(description="Whether nothing was changed.", examples=[False])

    @staticmethod
    def telling(after: AnchorSetVersion, what: Retirement, dry_run: bool) -> "RetirementOut":
        """The set and what left it as they are shown."""
        return RetirementOut(
            **AnchorSetOut.of(after).model_dump(),
            retired_grades=what.grades,
            retired_items=what.items,
            retired_annotators=what.annotators,
            unknown=list(what.unknown),
            dry_run=dry_run,
        )


@router.post(
    "/anchor-sets/{name}/retirements",
    summary="Take items, annotators or everything out of a set",
    responses=documented(400, 404, 413, 415, 422),
)
async def post_retirement(name: SetName, body: RetireIn, caller: Uploader, services: Served) -> RetirementOut:
    """Makes the next version without them, and asks for new calibrations of what rested on the set.

    Earlier versions stay. Answers the version that stands; where nothing is to leave, the one before.
    """
    after, what = await services.anchors.retire(
        caller.project,
        name,
        items=body.items,
        annotators=body.annotators,
        everything=body.everything,
        reason=body.reason,
        dry_run=body.dry_run,
    )
    return RetirementOut.telling(after, what, body.dry_run)


class GradeChange(Answered):
    """One person's grade in two versions of a set."""

    change: Literal["changed", "removed", "added"] = Field(
        description="What happened to it.", examples=["changed"]
    )
    item: str = Field(description="The item.", examples=["q-17"])
    system: str = Field(description="What wrote the answer; of a pair the first.", examples=["bot-v7"])
    other_system: str | None = Field(description="Of a pair the second.", examples=[None])
    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    annotator: str = Field(description="Who gave it.", examples=["ann"])
    before: float | None = Field(description="The grade in the earlier version; null: none.", examples=[4])
    after: float | None = Field(description="The grade in the later version; null: none.", examples=[3])


class SetDifference(Answered):
    """What differs between two versions of a set."""

    before_sha256: str | None = Field(description="Hash of the earlier version's content.", examples=[_SHA])
    after_sha256: str | None = Field(description="Hash of the later version's content.", examples=[_SHA])
    added: int = Field(description="Grades that only the later version has.", examples=[12])
    removed: int = Field(description="Grades that only the earlier version has.", examples=[3])
    changed: int = Field(description="Grades of both that say something else.", examples=[1])
    grades: list[GradeChange] = Field(
        description="Those that were asked for: changed, then removed, then added.", examples=[[]]
    )
    next_cursor: str | None = Field(
        description="Send it as `cursor` for more of them; null on the last page.", examples=[None]
    )


@router.get(
    "/anchor-sets/{name}/difference",
    summary="What differs between two versions",
    response_model=SetDifference,
    responses={
        200: {
            "model": SetDifference,
            "content": {"text/csv": {"example": "change,item,system,other_system,criterion,annotator,..."}},
            "description": "The difference; as CSV all changes that were asked for.",
        },
        **documented(404, 422),
    },
)
async def get_difference(
    name: SetName,
    caller: Reader,
    services: Served,
    before: Annotated[int, Query(ge=1, le=10**6, description="The earlier version.", examples=[1])],
    after: Annotated[int, Query(ge=1, le=10**6, description="The later version.", examples=[2])],
    change: Annotated[
        ChangeKind | None, Query(description="Only added, removed or changed ones.", examples=["changed"])
    ] = None,
    criterion: Annotated[
        str | None, Query(max_length=200, description="Only of this criterion.", examples=["helpfulness"])
    ] = None,
    annotator: Annotated[
        str | None, Query(max_length=400, description="Only of this person.", examples=["ann"])
    ] = None,
    item: Annotated[
        str | None,
        Query(max_length=400, description="Only items with this in their id.", examples=["q-1"]),
    ] = None,
    format: Annotated[Literal["json", "csv"], Query(description="json or csv.", examples=["json"])] = "json",
    limit: Annotated[
        int, Query(ge=1, le=1_000, description="The most grades to answer.", examples=[1_000])
    ] = 1_000,
    cursor: Annotated[
        str | None, Query(description="`next_cursor` of the page before.", examples=["MDAwMDAwMDA5"])
    ] = None,
) -> SetDifference | Response:
    """Added, removed and changed grades; the counts are of all, the list is of what was asked for."""
    found = await difference(services.anchors, caller.project, name, before, after)
    wanted = found.only(kind=change, criterion=criterion, annotator=annotator, item=item)
    if format == "csv":
        headers = attachment(f"{name}-{before}-{after}.csv")
        return StreamingResponse(changes_csv(wanted), headers=headers, media_type="text/csv; charset=utf-8")
    placed = [(f"{place:09d}", one) for place, one in enumerate(wanted)]
    page, next_cursor = PageRequest(limit, cursor).cut(placed, lambda pair: pair[0])
    return SetDifference(
        before_sha256=found.before.content_sha256,
        after_sha256=found.after.content_sha256,
        added=found.count(ChangeKind.ADDED),
        removed=found.count(ChangeKind.REMOVED),
        changed=found.count(ChangeKind.CHANGED),
        grades=[_change(one) for _, one in page],
        next_cursor=next_cursor,
    )


def _change(one: Change) -> GradeChange:
    grade = one.grade
    return GradeChange(
        change=one.kind.value,
        item=grade.item,
        system=grade.system,
        other_system=grade.other_system,
        criterion=grade.criterion,
        annotator=grade.annotator,
        before=one.before,
        after=one.after,
    )


@router.get(
    "/anchor-sets/{name}/export",
    summary="A set at one version as a file",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"text/csv": {}, "application/jsonl": {}},
            "description": "Every grade with its texts, in columns that `POST /anchors` reads again.",
        },
        **documented(404, 422),
    },
)
async def get_export(
    name: SetName,
    caller: Uploader,
    services: Served,
    version: VersionNumber = None,
    format: Annotated[Literal["csv", "jsonl"], Query(description="csv or jsonl.", examples=["csv"])] = "csv",
) -> StreamingResponse:
    """An export counts as an exposure of every anchor in it: what left the service may be trained on."""
    found = await version_of(services.anchors, caller.project, name, version)
    rubric = await services.rubrics.latest(caller.project, found.rubric)
    pairs = rubric.rubric.kind is RubricKind.PAIRWISE
    members = export(services.anchors, caller.project, name, found.version)
    headers = attachment(f"{name}-{found.version}.{format}")
    if format == "csv":
        pieces = members_csv(members, pairs)
        return StreamingResponse(pieces, headers=headers, media_type="text/csv; charset=utf-8")
    pieces = members_json_lines(members, pairs)
    return StreamingResponse(pieces, headers=headers, media_type="application/jsonl; charset=utf-8")
