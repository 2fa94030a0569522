"""What changed between two versions of an anchor set, its export, and retiring what is in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.access.keys import Caller
from app.anchoring.anchor_sets import (
    Change,
    ChangeKind,
    Difference,
    anchor_set,
    difference,
    export,
    version_of,
)
from app.domain.anchors import Retirement
from app.domain.projects import Scope
from app.domain.rubrics import RubricKind
from app.web.anchor_files import changes_csv, changes_json, members_csv, members_json_lines
from app.web.callers import needs
from app.web.downloads import attachment
from app.web.pages.addresses import url
from app.web.pages.chosen import Option
from app.web.pages.page import HEADERS, Link, show
from app.web.pages.words import NONE, Mark, count, counted, number
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]
SetName = Annotated[str, Query(alias="set", min_length=1, max_length=200)]
VersionNumber = Annotated[int, Query(ge=1, le=10**6)]
_PER_PAGE = 100
_MARKS = {
    ChangeKind.CHANGED: Mark("changed", "unsure"),
    ChangeKind.REMOVED: Mark("removed", "bad"),
    ChangeKind.ADDED: Mark("added", "good"),
}


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One grade in two versions; ``note`` where its value stayed and its provenance changed."""

    mark: Mark
    item: str
    about: str
    criterion: str
    annotator: str
    before: str
    after: str
    note: str | None


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """Two versions compared; ``shown`` says which of the changes are listed."""

    title: str
    name: str
    set_href: str
    befores: tuple[Option, ...]
    afters: tuple[Option, ...]
    kinds: tuple[Option, ...]
    criteria: tuple[Option, ...]
    annotators: tuple[Option, ...]
    item: str
    facts: tuple[tuple[str, str], ...]
    shown: str
    lines: tuple[ChangeLine, ...]
    earlier_href: str | None
    later_href: str | None
    downloads: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class RetirePage:
    """The form, as it was filled in; ``found`` says what would leave, once that was asked."""

    title: str
    name: str
    set_href: str
    items: str
    people: tuple[Option, ...]
    everything: bool
    reason: str
    wrong: tuple[str, ...]
    found: str | None
    unknown: str | None


@router.get("/ui/anchor-sets/-/difference")
async def show_difference(
    request: Request,
    caller: Reader,
    services: Served,
    name: SetName,
    before: VersionNumber,
    after: VersionNumber,
    change: Annotated[Literal["", "added", "removed", "changed"], Query()] = "",
    criterion: Annotated[str, Query(max_length=200)] = "",
    annotator: Annotated[str, Query(max_length=400)] = "",
    item: Annotated[str, Query(max_length=400)] = "",
    page: Annotated[int, Query(ge=1, le=10**6)] = 1,
    format: Annotated[Literal["", "csv", "json"], Query()] = "",
) -> Response:
    """A hundred changes at a time, by kind, criterion, annotator or item; or all that fit as a file."""
    found = await difference(services.anchors, caller.project, name, before, after)
    kind = ChangeKind(change) if change else None
    wanted = found.only(kind=kind, criterion=criterion, annotator=annotator, item=item)
    if format:
        headers = {**HEADERS, **attachment(f"{name}-{before}-{after}.{format}")}
        if format == "csv":
            return StreamingResponse(changes_csv(wanted), 200, headers, "text/csv; charset=utf-8")
        return StreamingResponse(changes_json(wanted), 200, headers, "application/json")
    versions = await services.anchors.versions(caller.project, name)
    query: dict[str, str | int] = {
        "set": name, "before": before, "after": after, "change": change, "criterion": criterion,
        "annotator": annotator, "item": item,
    }  # fmt: skip
    start = (page - 1) * _PER_PAGE

    def link(**more: str | int) -> str:
        return url("anchor-sets", "-", "difference", **{**query, **more})

    numbers = [one.version for one in versions]
    context = DifferencePage(
        title=f"What changed in {name}",
        name=name,
        set_href=url("anchor-sets", name),
        befores=tuple(Option(str(one), f"Version {one}", one == before) for one in numbers),
        afters=tuple(Option(str(one), f"Version {one}", one == after) for one in numbers),
        kinds=(
            Option("", "all", not change),
            *(Option(one.value, one.value, one.value == change) for one in ChangeKind),
        ),
        criteria=_options(criterion, (one.grade.criterion for one in found.changes)),
        annotators=_options(annotator, (one.grade.annotator for one in found.changes)),
        item=item,
        facts=_facts(found),
        shown=_shown(len(wanted), len(found.changes), start),
        lines=tuple(map(_line, wanted[start : start + _PER_PAGE])),
        earlier_href=link(page=page - 1) if page > 1 else None,
        later_href=link(page=page + 1) if start + _PER_PAGE < len(wanted) else None,
        downloads=tuple(Link(one.upper(), link(format=one)) for one in ("csv", "json")),
    )
    return show(request, "anchor_difference.html", context)


@router.get("/ui/anchor-sets/-/export")
async def download_set(
    caller: Uploader,
    services: Served,
    name: SetName,
    version: Annotated[int | None, Query(ge=1, le=10**6)] = None,
    format: Annotated[Literal["csv", "jsonl"], Query()] = "csv",
) -> Response:
    """The set with its texts."""
    found = await version_of(services.anchors, caller.project, name, version)
    rubric = await services.rubrics.latest(caller.project, found.rubric)
    pairs = rubric.rubric.kind is RubricKind.PAIRWISE
    members = export(services.anchors, caller.project, name, found.version)
    headers = {**HEADERS, **attachment(f"{name}-{found.version}.{format}")}
    if format == "csv":
        return StreamingResponse(members_csv(members, pairs), 200, headers, "text/csv; charset=utf-8")
    pieces = members_json_lines(members, pairs)
    return StreamingResponse(pieces, 200, headers, "application/jsonl; charset=utf-8")


@router.get("/ui/anchor-sets/-/retire")
async def show_retire(request: Request, caller: Uploader, services: Served, name: SetName) -> Response:
    """The form."""
    page = await _retire_page(caller, services, name)
    return show(request, "anchor_retire.html", page)


@router.post("/ui/anchor-sets/-/retire")
async def retire(
    request: Request,
    caller: Uploader,
    services: Served,
    name: SetName,
    items: Annotated[str, Form(max_length=2_000_000)] = "",
    annotator: Annotated[list[str] | None, Form(max_length=1_000)] = None,
    everything: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=2_000)] = "",
    action: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Tell what would leave the set, or take it out."""
    named = list(dict.fromkeys(line.strip() for line in items.splitlines() if line.strip()))
    people = annotator or []
    wrong = []
    if not (named or people or everything):
        wrong.append("Say which items or annotators are to leave, or that everything is.")
    if action == "retire" and not reason.strip():
        wrong.append("Say why; the reason stays with the version.")
    if any("\x00" in text for text in (items, reason, *people)):
        wrong.append("A name or the reason holds a NUL character.")
    if len(named) > 10_000:
        wrong.append("At most 10,000 items can be named at once.")
    found: Retirement | None = None
    if not wrong:
        _, found = await services.anchors.retire(
            caller.project,
            name,
            items=named,
            annotators=people,
            everything=everything,
            reason=reason.strip(),
            dry_run=action != "retire",
        )
        if action == "retire" and found.grades:
            return RedirectResponse(url("anchor-sets", name, stored="retired"), 303, HEADERS)
    page = await _retire_page(
        caller, services, name, "\n".join(named), people, everything, reason, tuple(wrong), found
    )
    return show(request, "anchor_retire.html", page, status=422 if wrong else 200)


async def _retire_page(
    caller: Caller,
    services: Served,
    name: str,
    items: str = "",
    people: list[str] | None = None,
    everything: bool = False,
    reason: str = "",
    wrong: tuple[str, ...] = (),
    found: Retirement | None = None,
) -> RetirePage:
    makeup = (await anchor_set(services.anchors, caller.project, name)).makeup
    graders = dict.fromkeys(one.name for one in makeup.annotators)
    said = None
    if found is not None:
        said = (
            f"{counted(found.grades, 'grade')} of {counted(found.items, 'item')} by "
            f"{counted(found.annotators, 'person', 'people')} would leave the set."
        )
    return RetirePage(
        title=f"Retire anchors of {name}",
        name=name,
        set_href=url("anchor-sets", name),
        items=items,
        people=tuple(Option(one, one, one in (people or ())) for one in graders),
        everything=everything,
        reason=reason,
        wrong=wrong,
        found=said,
        unknown=None
        if found is None or not found.unknown
        else f"Nothing in the set is called {', '.join(found.unknown[:20])}.",
    )


def _options(chosen: str, names: Iterable[str]) -> tuple[Option, ...]:
    known = sorted(set(names))
    return (Option("", "all", not chosen), *(Option(one, one, one == chosen) for one in known))


def _facts(found: Difference) -> tuple[tuple[str, str], ...]:
    return (
        ("Changed grades", count(found.count(ChangeKind.CHANGED))),
        ("Removed grades", count(found.count(ChangeKind.REMOVED))),
        ("Added grades", count(found.count(ChangeKind.ADDED))),
        (f"Content of version {found.before.version}", (found.before.content_sha256 or NONE)[:16]),
        (f"Content of version {found.after.version}", (found.after.content_sha256 or NONE)[:16]),
    )


def _shown(wanted: int, whole: int, start: int) -> str:
    if not wanted:
        return "Nothing changed." if not whole else "No change fits; take a filter off."
    end = min(start + _PER_PAGE, wanted)
    of = f"{wanted:,}" if wanted == whole else f"{wanted:,} that fit ({whole:,} in all)"
    return f"Changes {start + 1:,} to {end:,} of {of}"


def _line(one: Change) -> ChangeLine:
    grade = one.grade
    same = one.kind is ChangeKind.CHANGED and one.before == one.after
    return ChangeLine(
        mark=_MARKS[one.kind],
        item=grade.item,
        about=grade.system if grade.other_system is None else f"{grade.system} against {grade.other_system}",
        criterion=grade.criterion,
        annotator=grade.annotator,
        before=number(one.before),
        after=number(one.after),
        note="source, time or chance" if same else None,
    )
