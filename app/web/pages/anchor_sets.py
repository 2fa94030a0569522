"""Anchor sets: the list, and what one is made of."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.anchoring.anchor_sets import AnchorSet, anchor_set
from app.domain.anchors import SIMULATED_PEOPLE, AnchorSetVersion
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.chosen import pair
from app.web.pages.page import Link, may, show
from app.web.pages.words import NONE, count, counted, moment, number, percent, sentence
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]
_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class SetLine:
    """A set at its newest version."""

    name: str
    href: str
    rubric: str
    rubric_href: str
    version: str
    items: str
    grades: str
    annotators: str
    created: str


@dataclass(frozen=True, slots=True)
class SetsPage:
    """The list."""

    title: str
    lines: tuple[SetLine, ...]
    may_upload: bool
    upload_href: str
    next_href: str | None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version of a set."""

    version: str
    created: str
    items: str
    grades: str
    annotators: str
    added: str
    removed: str
    sha256: str
    content: str
    compare_href: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One annotator's part of the set."""

    name: str
    type: str
    items: str
    grades: str
    share: str


@dataclass(frozen=True, slots=True)
class SetPage:
    """One set. ``stored`` greets whoever has just uploaded, ``notes`` say what the set lacks."""

    title: str
    name: str
    stored: str | None
    rubric: str
    rubric_href: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    people: tuple[PersonLine, ...]
    criteria: tuple[tuple[str, str], ...]
    systems: tuple[tuple[str, str], ...]
    versions: tuple[VersionLine, ...]
    may_upload: bool
    upload_href: str
    retire_href: str
    rotation_href: str
    audit_href: str
    plan_href: str
    exports: tuple[Link, ...]
    calibrations_href: str


@router.get("/ui/anchor-sets")
async def show_sets(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """By name, of one rubric if asked."""
    found = await services.anchors.list(caller.project, rubric=rubric or None, limit=_PER_PAGE, cursor=cursor)
    page = SetsPage(
        title="Anchor sets",
        lines=tuple(map(_line, found.items)),
        may_upload=may(request, Scope.ANCHORS),
        upload_href=url("anchor-sets", "upload", rubric=rubric),
        next_href=url("anchor-sets", rubric=rubric, cursor=found.next_cursor) if found.next_cursor else None,
    )
    return show(request, "anchor_sets.html", page)


@router.get("/ui/anchor-sets/{name:path}")
async def show_set(
    request: Request,
    name: str,
    caller: Reader,
    services: Served,
    stored: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """One set: counts, people, systems, versions."""
    found = await anchor_set(services.anchors, caller.project, name)
    return show(request, "anchor_set.html", _page(name, found, stored, may(request, Scope.ANCHORS)))


def _line(one: AnchorSetVersion) -> SetLine:
    return SetLine(
        name=one.anchor_set,
        href=url("anchor-sets", one.anchor_set),
        rubric=one.rubric,
        rubric_href=url("rubrics", one.rubric),
        version=str(one.version),
        items=count(one.items),
        grades=count(one.grades),
        annotators=count(one.annotators),
        created=moment(one.created_at),
    )


_STORED = {
    "yes": "The file is stored as the newest version of this set, and a calibration is scheduled.",
    "same": "Nothing changed: this file was uploaded before.",
    "retired": "They left the set as its newest version, and what rested on it is calibrated anew.",
}


def _page(name: str, found: AnchorSet, stored: str | None, may_upload: bool) -> SetPage:
    newest, makeup = found.versions[0], found.makeup
    total = max(newest.grades, 1)
    return SetPage(
        title=f"Anchor set {name}",
        name=name,
        stored=_STORED.get(stored or ""),
        rubric=newest.rubric,
        rubric_href=url("rubrics", newest.rubric),
        facts=(
            ("Version", str(newest.version)),
            ("Items", count(newest.items)),
            ("Human grades", count(newest.grades)),
            ("Annotators", count(newest.annotators)),
            ("Answers or pairs graded", count(makeup.units)),
            (
                "Graded by two people or more",
                f"{count(makeup.double)} ({_share(makeup.double, makeup.units)})",
            ),
            ("Graded blind", f"{count(makeup.blind)} ({_share(makeup.blind, total)})"),
            ("With a logged sampling probability", count(makeup.with_probability)),
        ),
        notes=_notes(found),
        people=tuple(
            PersonLine(
                one.name,
                one.type,
                count(one.items),
                count(one.grades),
                percent(one.grades / total),
            )
            for one in makeup.annotators
        ),
        criteria=tuple((criterion, count(n)) for criterion, n in makeup.criteria.items()),
        systems=tuple((system, count(n)) for system, n in makeup.systems.items()),
        versions=tuple(map(_version, found.versions)),
        may_upload=may_upload,
        upload_href=url("anchor-sets", "upload", rubric=newest.rubric, anchor_set=name),
        retire_href=url("anchor-sets", "-", "retire", set=name),
        rotation_href=url("anchor-sets", "-", "rotation", set=name),
        audit_href=url("audits", anchor_set=name),
        plan_href=url("annotate", "-", "plan", of=pair(newest.rubric, next(iter(makeup.criteria), ""))),
        exports=tuple(
            Link(kind.upper(), url("anchor-sets", "-", "export", set=name, format=kind))
            for kind in ("csv", "jsonl")
        ),
        calibrations_href=url("calibrations", rubric=newest.rubric),
    )


def _share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else NONE


def _notes(found: AnchorSet) -> tuple[str, ...]:
    makeup, notes = found.makeup, []
    if not found.versions[0].grades:
        notes.append("This set is retired: it holds no grades, and no calibration rests on it.")
    if any(one.type == SIMULATED_PEOPLE for one in makeup.annotators):
        notes.append("Simulated people gave grades in this set: nothing that rests on it is a measurement.")
    if makeup.units and makeup.double < 20:
        notes.append(
            "Fewer than 20 answers have grades of two people, so the noise of one person's grade can hardly "
            "be told from quality. Have some answers graded twice."
        )
    if len(makeup.annotators) == 1:
        notes.append("One person gave every grade: this set measures that person's taste.")
    if found.versions[0].grades and not makeup.blind:
        notes.append(
            "No grade is marked as blind. If annotators saw system names or judges' scores, the set follows "
            "those."
        )
    if makeup.units and len(makeup.systems) < 5:
        notes.append(
            f"{counted(len(makeup.systems), 'system has', 'systems have')} anchors: from 5 on it can be "
            "measured whether judges see differences between systems as people do."
        )
    return tuple(notes)


def _version(one: AnchorSetVersion) -> VersionLine:
    return VersionLine(
        version=str(one.version),
        created=moment(one.created_at),
        items=count(one.items),
        grades=count(one.grades),
        annotators=count(one.annotators),
        added=number(one.added, 0, sign=True),
        removed=number(-one.removed, 0, sign=True),
        sha256=one.sha256[:12],
        content=(one.content_sha256 or "")[:12],
        compare_href=None
        if one.parent is None
        else url("anchor-sets", "-", "difference", set=one.anchor_set, before=one.parent, after=one.version),
        warnings=tuple(map(sentence, one.warnings)),
    )
