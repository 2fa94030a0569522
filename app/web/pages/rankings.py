"""Many systems ranked by what people prefer: strengths, win rates, ranks, and every pair."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.projects import Scope
from app.domain.rubrics import RubricKind
from app.reporting.ranked_by_judges import RankedByJudges
from app.reporting.rankings import RankedPair, RankedSystem, RankingTable, rank
from app.web.callers import needs
from app.web.pages.addresses import url
from app.web.pages.charts import Axis, axis_mark, axis_over, interval_mark
from app.web.pages.chosen import Chosen, Option, choose
from app.web.pages.page import show
from app.web.pages.quality import LEVELS, noted
from app.web.pages.words import (
    SCORE_MARKS,
    Mark,
    count,
    interval,
    level_name,
    moment,
    number,
    percent,
    sentence,
)
from app.web.services import Served

router = APIRouter(include_in_schema=False)

Reader = Annotated[Caller, needs(Scope.READ)]

MOST_IN_MATRIX = 30


@dataclass(frozen=True, slots=True)
class RankedLine:
    """One system; ``notes`` are numbers of the page's notes, from 1."""

    rank: str
    ranks: str
    system: str
    picture: Markup
    strength: str
    interval: str
    win_rate: str
    win_interval: str
    raw: str
    opponents: str
    n_pairs: str
    n_anchors: str
    mark: Mark
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """How often the row's system wins against the column's; ``n`` meetings, and how many people graded."""

    rate: str
    interval: str
    n: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A system against each other in the order of the matrix; None against itself."""

    system: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class JudgedLine:
    """One system as judges rank it."""

    system: str
    rank: str
    ranks: str
    picture: Markup
    strength: str
    interval: str
    win_rate: str
    win_interval: str


@dataclass(frozen=True, slots=True)
class JudgeLine:
    """One judge of that ranking."""

    judge: str
    verdicts: str
    position: str
    ties: str


@dataclass(frozen=True, slots=True)
class ByJudges:
    """The ranking by judges: its lines, or why there are none."""

    axis: Markup
    lines: tuple[JudgedLine, ...]
    judges: tuple[JudgeLine, ...]
    spread: str
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankingsPage:
    """The whole page; ``rubric`` is None where no rubric judges pairs, ``by_judges`` unless it was asked for.

    ``matrix_left_out`` says that there are too many systems for a matrix.
    """

    title: str
    rubric: str | None
    criterion: str | None
    criteria: tuple[Option, ...]
    levels: tuple[Option, ...]
    level: str
    axis: Markup
    lines: tuple[RankedLine, ...]
    notes: tuple[str, ...]
    matrix: tuple[MatrixRow, ...]
    matrix_left_out: bool
    by_judges: ByJudges | None
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    calibration_href: str | None
    upload_href: str | None
    api_href: str | None


@router.get("/ui/rankings")
async def show_rankings(
    request: Request,
    caller: Reader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    criterion: Annotated[str | None, Query(max_length=200)] = None,
    of: Annotated[str | None, Query(max_length=1000)] = None,
    level: Annotated[float, Query(gt=0.5, le=0.999)] = 0.95,
    judges: Annotated[bool, Query()] = False,
) -> Response:
    """``of`` is rubric and criterion in one value, as the form sends them."""
    if of:
        rubric, _, criterion = (unquote(part) for part in of.partition("/"))
    chosen = await choose(services, caller, rubric, criterion)
    if not rubric:
        chosen = _first_of_pairs(chosen)
    if chosen.version is None or chosen.criterion is None:
        return show(request, "rankings.html", _empty())
    name, which = chosen.version.rubric.name, chosen.criterion.name
    table = await rank(
        services.quality, caller.project.id, rubric=name, criterion=which, level=level, judges=judges
    )
    ends = [end for row in table.rows for end in row.strength_interval or ()]
    axis = axis_over(ends, include=(0.0,))
    notes = noted(row.warnings for row in table.rows)
    page = RankingsPage(
        title=f"Ranking: {name if name == which else f'{which} ({name})'}",
        rubric=name,
        criterion=which,
        criteria=tuple(one for one in chosen.options() if _judges_pairs(chosen, one)),
        levels=tuple(Option(one, level_name(float(one)), float(one) == level) for one in LEVELS),
        level=level_name(level),
        axis=axis_mark(axis),
        lines=tuple(_line(row, axis, notes) for row in table.rows),
        notes=tuple(notes),
        matrix=_matrix(table) if len(table.rows) <= MOST_IN_MATRIX else (),
        matrix_left_out=len(table.rows) > MOST_IN_MATRIX,
        by_judges=None if table.by_judges is None else _by_judges(table.by_judges),
        warnings=tuple(map(sentence, table.warnings)),
        refusals=tuple(map(sentence, table.refusals)),
        facts=_facts(table),
        calibration_href=url("calibrations", table.calibration_id) if table.calibration_id else None,
        upload_href=url("anchor-sets", "upload", rubric=name),
        api_href="/rankings" + url(rubric=name, criterion=which, level=level)[3:],
    )
    return show(request, "rankings.html", page)


def _empty() -> RankingsPage:
    nothing = Markup("")
    return RankingsPage(
        "Rankings", None, None, (), (), "", nothing, (), (), (), False, None, (), (), (), None, None, None
    )


def _first_of_pairs(chosen: Chosen) -> Chosen:
    """Where nothing was asked for: the first rubric that judges pairs, or none."""
    found = [one for one in chosen.rubrics if one.rubric.kind is RubricKind.PAIRWISE]
    return Chosen(chosen.rubrics, found[0], found[0].rubric.criteria[0]) if found else Chosen((), None, None)


def _judges_pairs(chosen: Chosen, option: Option) -> bool:
    rubric = unquote(option.value.partition("/")[0])
    return any(one.rubric.name == rubric and one.rubric.kind is RubricKind.PAIRWISE for one in chosen.rubrics)


def _line(row: RankedSystem, axis: Axis, notes: Mapping[str, int]) -> RankedLine:
    ranks = row.rank_interval
    return RankedLine(
        rank=count(row.rank),
        ranks=interval(None) if ranks is None else f"{ranks[0]} to {ranks[1]}",
        system=row.system,
        picture=interval_mark(axis, estimate=row.strength, interval=row.strength_interval, zero=0.0),
        strength=number(row.strength, sign=True),
        interval=interval(row.strength_interval, sign=True),
        win_rate=number(row.win_rate, 3),
        win_interval=interval(row.win_rate_interval, 3),
        raw=number(row.raw_win_rate, 3),
        opponents=count(row.opponents),
        n_pairs=count(row.n_pairs),
        n_anchors=count(row.n_anchors),
        mark=SCORE_MARKS[row.status],
        notes=tuple(notes[sentence(words)] for words in row.warnings),
    )


def _by_judges(found: RankedByJudges) -> ByJudges:
    systems = sorted(found.systems.items(), key=lambda one: (one[1].rank, one[0]))
    axis = axis_over([end for _, one in systems for end in one.strength_interval], include=(0.0,))
    return ByJudges(
        axis=axis_mark(axis),
        lines=tuple(
            JudgedLine(
                system=name,
                rank=count(one.rank),
                ranks=f"{one.rank_interval[0]} to {one.rank_interval[1]}",
                picture=interval_mark(axis, estimate=one.strength, interval=one.strength_interval, zero=0.0),
                strength=number(one.strength, sign=True),
                interval=interval(one.strength_interval, sign=True),
                win_rate=number(one.win_rate, 3),
                win_interval=interval(one.win_rate_interval, 3),
            )
            for name, one in systems
        ),
        judges=tuple(
            JudgeLine(
                one.judge, count(one.n_verdicts), number(one.position, sign=True), percent(one.tie_rate)
            )
            for one in found.judges
        ),
        spread=number(found.spread),
        refusals=tuple(map(sentence, found.refusals)),
        warnings=tuple(map(sentence, found.warnings)),
    )


def _matrix(table: RankingTable) -> tuple[MatrixRow, ...]:
    """Rows and columns in the order of the table."""
    found = {(one.system, one.other): _cell(one, turned=False) for one in table.pairs}
    found |= {(one.other, one.system): _cell(one, turned=True) for one in table.pairs}
    names = [row.system for row in table.rows]
    return tuple(MatrixRow(name, tuple(found.get((name, other)) for other in names)) for name in names)


def _cell(pair: RankedPair, *, turned: bool) -> Cell:
    """By the strengths; where there are none, by the judges as they are."""
    rate = pair.raw_win_rate if pair.win_rate is None else pair.win_rate
    ends = pair.interval
    if turned:
        rate = None if rate is None else 1 - rate
        ends = None if ends is None else (1 - ends[1], 1 - ends[0])
    n = f"{count(pair.n_pairs)} met, {count(pair.n_anchors)} graded"
    return Cell(number(rate), "" if ends is None else interval(ends), n)


def _facts(table: RankingTable) -> tuple[tuple[str, str], ...]:
    facts = [("Rubric version", str(table.rubric_version))]
    if table.calibration_id:
        facts.append(("Calibrated", moment(table.calibrated_at)))
    if table.tie_rate is not None:
        facts.append(("Ties among people", percent(table.tie_rate)))
    if table.power_tuning is not None:
        facts.append(("Trust in the panel", f"{number(table.power_tuning)} (0: people only)"))
    if table.panel_correlation is not None:
        facts.append(("Panel follows people", f"correlation {number(table.panel_correlation)}"))
    return tuple(facts)
