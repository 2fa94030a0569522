"""One answer, or one pair: what judges and people gave it, and anchors that read like it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.auditing.similar_anchors import similar_anchors
from app.domain.ids import read_id
from app.domain.projects import Scope
from app.domain.rubrics import RubricVersion
from app.reporting.one_answer import OneAnswer, one_answer
from app.web.callers import needs
from app.web.pages.addresses import answer_url, url
from app.web.pages.anchors_beside import AnchorLine, anchor_lines, anchor_table
from app.web.pages.charts import share_bar
from app.web.pages.chosen import choose
from app.web.pages.page import Link, show
from app.web.pages.tables import DataTable, FileKind, Files, TableName, as_file, files
from app.web.pages.words import count, counted, number
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

_MOST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class SaidLine:
    """What one judge gave; ``bar`` is its weight."""

    judge: str
    href: str
    family: str
    value: str
    draws: str
    weight: str
    bar: Markup | None


@dataclass(frozen=True, slots=True)
class AnswerPage:
    """``scores`` are (what, value) under the criterion; ``texts`` (heading, text)."""

    title: str
    about: str
    criteria: tuple[Link, ...]
    unit: str
    calibration_href: str | None
    scores: tuple[tuple[str, str], ...]
    judges: tuple[SaidLine, ...]
    grades: tuple[Link, ...]
    texts: tuple[tuple[str, str], ...]
    anchors: tuple[AnchorLine, ...]
    compared: bool
    files: dict[str, Files]


@router.get("/ui/answers/{answer_id}")
async def show_answer(
    request: Request,
    answer_id: str,
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(max_length=200)],
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    other: Annotated[str | None, Query(max_length=100)] = None,
    table: TableName = None,
    kind: FileKind = "csv",
) -> Response:
    """Under one criterion, the rubric's first unless one is named."""
    chosen = await choose(services, caller, rubric, criterion)
    assert chosen.version is not None
    assert chosen.criterion is not None
    found = await one_answer(
        services.quality, caller.project.id, answer_id, other, rubric=rubric, criterion=chosen.criterion.name
    )
    anchors = await similar_anchors(
        services.database,
        caller.project.id,
        chosen.version,
        prompt=found.prompt,
        answers=[found.answer, found.other_answer],
        systems=[one for one in (found.system, found.other_system) if one is not None],
        item_ids=[found.item_id],
        but=[read_id("a", one) for one in (answer_id, other) if one is not None],
    )
    tables = (_judges_table(found), anchor_table(anchors))
    if table is not None:
        return as_file(tables, table, kind)
    page = AnswerPage(
        title=f"Answer to {found.item}",
        about=" against ".join(one for one in (found.system, found.other_system) if one),
        criteria=_criteria(found, chosen.version),
        unit=f"preference from −1 to 1, above 0 for {found.system}"
        if found.pairwise
        else "points of the criterion's own scale",
        calibration_href=None if found.calibration_id is None else url("calibrations", found.calibration_id),
        scores=_scores(found),
        judges=tuple(
            SaidLine(
                judge=one.judge,
                href=url("judges", one.judge, rubric=rubric, criterion=found.criterion),
                family=one.family,
                value=number(one.value),
                draws=count(one.draws),
                weight=number(one.weight),
                bar=None if one.weight is None else share_bar(one.weight),
            )
            for one in found.judges
        ),
        grades=tuple(Link(one, url("grades", one)) for one in found.grade_ids),
        texts=_texts(found),
        anchors=anchor_lines(anchors, rubric),
        compared=any(one.likeness is not None for one in anchors),
        files=files(request, tables),
    )
    return show(request, "answer.html", page)


def _criteria(found: OneAnswer, version: RubricVersion) -> tuple[Link, ...]:
    return tuple(
        Link(
            one.name,
            answer_url(found.answer_id, found.other_answer_id, found.rubric, one.name),
            one.name == found.criterion,
        )
        for one in version.rubric.criteria
    )


def _scores(found: OneAnswer) -> tuple[tuple[str, str], ...]:
    people = number(found.people)
    if found.grades:
        people += f" ({counted(found.grades, 'grade')})"
    return (
        ("People", people),
        ("Calibrated, without this prompt's human grades", number(found.held_out)),
        ("Calibrated, by all anchors", number(found.calibrated)),
        ("Judges' mean, uncalibrated", number(found.raw)),
    )


def _texts(found: OneAnswer) -> tuple[tuple[str, str], ...]:
    parts = [
        ("Prompt", found.prompt),
        ("Context", found.context),
        ("Reference", found.reference),
        (f"Answer of {found.system}", found.answer),
        (f"Answer of {found.other_system}", found.other_answer),
    ]
    return tuple((heading, text[:_MOST_TEXT]) for heading, text in parts if text)


def _judges_table(found: OneAnswer) -> DataTable:
    columns = ("judge", "family", "version", "value", "draws", "weight")
    rows = [tuple(getattr(one, name) for name in columns) for one in found.judges]
    return DataTable("judges", columns, rows)
