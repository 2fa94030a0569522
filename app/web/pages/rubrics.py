"""Rubrics: what is asked of judges and people, in all versions."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.projects import Scope
from app.domain.rubrics import Criterion, RubricVersion
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.anchor_upload import template_links
from app.web.pages.chosen import MOST_RUBRICS
from app.web.pages.page import Link, may, show
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

KINDS = {
    "pointwise": "one answer at a time",
    "pairwise": "two answers side by side",
    "listwise": "several answers, scored together",
}


@dataclass(frozen=True, slots=True)
class RubricLine:
    """A rubric of the list, at its newest version."""

    name: str
    href: str
    kind: str
    version: str
    criteria: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RubricsPage:
    """The list; ``command`` makes a first rubric."""

    title: str
    lines: tuple[RubricLine, ...]
    next_href: str | None


@dataclass(frozen=True, slots=True)
class CriterionView:
    """One criterion with its scale in words."""

    name: str
    description: str
    scale: str
    labels: tuple[str, ...]
    better: str
    quality_href: str


@dataclass(frozen=True, slots=True)
class RubricPage:
    """One version of a rubric, with links to the others."""

    title: str
    name: str
    kind: str
    meaning: str
    instructions: str
    criteria: tuple[CriterionView, ...]
    versions: tuple[Link, ...]
    version: int
    newest: bool
    upload_href: str
    templates: tuple[Link, ...]
    anchors_href: str


@router.get("/ui/rubrics")
async def show_rubrics(
    request: Request,
    caller: Reader,
    services: Served,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """By name."""
    found = await services.rubrics.list(caller.project, MOST_RUBRICS, cursor)
    lines = tuple(
        RubricLine(
            name=one.rubric.name,
            href=url("rubrics", one.rubric.name),
            kind=one.rubric.kind.value,
            version=str(one.version),
            criteria=tuple(criterion.name for criterion in one.rubric.criteria),
        )
        for one in found.items
    )
    next_href = url("rubrics", cursor=found.next_cursor) if found.next_cursor else None
    return show(request, "rubrics.html", RubricsPage("Rubrics", lines, next_href))


@router.get("/ui/rubrics/{name:path}")
async def show_rubric(
    request: Request,
    name: str,
    caller: Reader,
    services: Served,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """One version, the newest unless another is asked for."""
    versions = await services.rubrics.versions(caller.project, name)
    found = versions[-1] if version is None else await services.rubrics.version(caller.project, name, version)
    rubric = found.rubric
    page = RubricPage(
        title=f"Rubric {name}",
        name=name,
        kind=rubric.kind.value,
        meaning=KINDS[rubric.kind.value],
        instructions=rubric.instructions,
        criteria=tuple(_criterion(found, one) for one in rubric.criteria),
        versions=tuple(
            Link(
                f"Version {one.version}",
                url("rubrics", name, version=one.version),
                one.version == found.version,
            )
            for one in reversed(versions)
        ),
        version=found.version,
        newest=found.version == versions[-1].version,
        upload_href=url("anchor-sets", "upload", rubric=name),
        templates=template_links(name) if may(request, Scope.ANCHORS) else (),
        anchors_href=url("anchor-sets", rubric=name),
    )
    return show(request, "rubric.html", page)


def _criterion(version: RubricVersion, one: Criterion) -> CriterionView:
    scale = one.scale
    if scale.labels:
        words = (
            f"{len(scale.labels)} labels, worst first"
            if one.higher_is_better
            else f"{len(scale.labels)} labels"
        )
    else:
        step = "any number between" if scale.step is None else f"in steps of {scale.step:g}"
        words = f"{scale.low:g} to {scale.high:g}, {step}"
    return CriterionView(
        name=one.name,
        description=one.description,
        scale=words,
        labels=scale.labels,
        better="higher is better" if one.higher_is_better else "lower is better",
        quality_href=url("quality", rubric=version.rubric.name, criterion=one.name),
    )
