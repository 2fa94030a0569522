"""Rows of a file -> human verdicts or recorded judge verdicts, or which rows are wrong and why.

Pure: no database, no clock. A file is read twice: `check` reads all of it and keeps nothing but hashes;
`human_verdicts` or `recorded_verdicts` then make what it found right, a batch at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from app.anchoring.columns import ColumnReader, Rows
from app.anchoring.corrections import Corrections
from app.anchoring.findings import Findings
from app.anchoring.limits import Limits
from app.anchoring.mapping import STRATUM, Uploaded
from app.anchoring.mapping import Mapping as ColumnMapping
from app.anchoring.rows import open_rows
from app.anchoring.shapes.shape import Shape
from app.anchoring.survey import Checked, Survey
from app.anchoring.table import Cell, Table
from app.domain.anchors import HumanVerdict, Pairing, Provenance, RecordedVerdict
from app.domain.problems import Problem
from app.domain.rubrics import Rubric, RubricKind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and how it is to be read; ``file`` is seekable and stays open.

    ``simulated_people`` says that made-up annotators are let in: only where the judges are simulated too.
    ``corrections`` stand in place of some of the file's rows. ``shape`` is what wrote the file.
    """

    file: BinaryIO
    what: Uploaded
    rubric: Rubric
    mapping: ColumnMapping = field(default_factory=ColumnMapping)
    limits: Limits = field(default_factory=Limits)
    simulated_people: bool = False
    corrections: Corrections | None = None
    shape: Shape = Shape.TABLE


def open_upload(upload: Upload) -> Table:
    """The rows of an upload."""
    return open_rows(
        upload.file,
        upload.rubric,
        shape=upload.shape,
        limits=upload.limits,
        corrections=upload.corrections,
    )


def check(upload: Upload, progress: Callable[[int], None] | None = None) -> Checked:
    """Read the whole file and find every problem. ``progress(rows read)`` is called after each batch.

    Raises
    ------
    BadInput
        If anything is wrong: the first 1,000 wrong rows, and counts per problem.
    """
    survey, table = look_through(upload, progress)
    return survey.finish(table.format, table.warnings)


def look_through(
    upload: Upload,
    progress: Callable[[int], None] | None = None,
    every: Callable[[Problem], None] | None = None,
) -> tuple[Survey, Table]:
    """What `check` is made of; ``every`` is told each problem of a row, also those found at its end."""
    table = open_upload(upload)
    survey = Survey(
        upload.what, upload.rubric, upload.mapping, simulated_people=upload.simulated_people, every=every
    )
    for batch in table.batches:
        survey.columns.update(dict.fromkeys(batch.columns))
        survey.add(batch.rows, batch.problems, survey.reader.read(batch) if batch.rows else None)
        if progress is not None:
            progress(survey.read)
    return survey, table


def human_verdicts(upload: Upload, checked: Checked) -> Iterator[list[HumanVerdict]]:
    """The human verdicts of a checked file, a batch at a time."""
    for rows, places in _good_rows(upload, checked):
        yield _humans(rows, places, upload.rubric.kind)


def recorded_verdicts(upload: Upload, checked: Checked) -> Iterator[list[RecordedVerdict]]:
    """The judge verdicts of a checked file, a batch at a time."""
    for rows, places in _good_rows(upload, checked):
        yield _judges(rows, places, upload.rubric.kind)


def _good_rows(upload: Upload, checked: Checked) -> Iterator[tuple[Rows, Sequence[int]]]:
    reader = ColumnReader(upload.what, upload.rubric, upload.mapping, Findings())
    for batch in open_upload(upload).batches:
        if batch.rows:
            rows = reader.read(batch)
            places: Sequence[int] = range(len(rows.rows))
            if checked.repeated:
                places = [place for place in places if rows.rows[place] not in checked.repeated]
            if places:
                yield rows, places


def _pairings(columns: dict[str, list[Any]], kind: RubricKind) -> Iterator[Pairing]:
    pair = kind is RubricKind.PAIRWISE
    size = len(columns["item_id"])
    nothing: list[Any] = [None] * size
    names = ("system", "system_family", "answer", "len_words")
    first = {name: columns[f"{name}_a" if pair else name] for name in names}
    second = {name: columns[f"{name}_b"] if pair else nothing for name in first}
    return map(
        Pairing,
        columns["item_id"],
        first["system"],
        second["system"],
        first["system_family"],
        second["system_family"],
        first["answer"],
        second["answer"],
        columns["prompt"],
        columns["context"],
        columns["reference"],
        first["len_words"],
        second["len_words"],
        _strata(columns, size),
    )


def _strata(columns: dict[str, list[Any]], size: int) -> Iterator[Mapping[str, str]]:
    names = [name for name in columns if name.startswith(STRATUM)]
    made: dict[tuple[Cell, ...], dict[str, str]] = {}
    if not names:
        empty: dict[str, str] = {}
        yield from [empty] * size
        return
    short = [name.removeprefix(STRATUM) for name in names]
    for values in zip(*(columns[name] for name in names), strict=True):
        if values not in made:
            made[values] = {n: value for n, value in zip(short, values, strict=True) if value is not None}
        yield made[values]


def _humans(rows: Rows, places: Sequence[int], kind: RubricKind) -> list[HumanVerdict]:
    columns = rows.columns
    provenance = map(
        Provenance,
        columns["annotator"],
        columns["annotator_type"],
        columns["graded_at"],
        columns["source"],
        columns["blind"],
        columns["inclusion_probability"],
    )
    values: Iterator[Any] = iter(rows.values)  # people give a value in every row, or the row is wrong
    made = map(HumanVerdict, _pairings(columns, kind), columns["criterion"], values, provenance)
    return _at(list(made), places)


def _judges(rows: Rows, places: Sequence[int], kind: RubricKind) -> list[RecordedVerdict]:
    columns = rows.columns
    made = map(
        RecordedVerdict,
        _pairings(columns, kind),
        columns["criterion"],
        columns["judge"],
        columns["judge_family"],
        rows.values,
        columns["unscored"],
        columns["judge_params"],
        columns["draw"],
        columns["order"],
        columns["graded_at"],
    )
    return _at(list(made), places)


def _at(made: list[T], places: Sequence[int]) -> list[T]:
    return made if len(made) == len(places) else [made[place] for place in places]
