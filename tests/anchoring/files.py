"""Small files to upload, and rubrics for them."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.anchoring.limits import Limits
from app.anchoring.mapping import Uploaded, read_mapping
from app.anchoring.reading import open_table
from app.anchoring.table import Cell
from app.anchoring.upload import Upload
from app.domain.rubrics import Criterion, Rubric, RubricKind, Scale

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

POINTWISE = Rubric(
    "helpfulness",
    RubricKind.POINTWISE,
    "Judge.",
    (Criterion("helpful", "Helps.", Scale(1, 5)), Criterion("tone", "Sounds.", Scale(1, 5))),
)
ONE = Rubric("one", RubricKind.POINTWISE, "Judge.", (Criterion("helpful", "Helps.", Scale(1, 5)),))
LABELLED = Rubric(
    "words",
    RubricKind.POINTWISE,
    "Judge.",
    (Criterion("helpful", "Helps.", Scale.of_labels(("poor", "fair", "good"))),),
)
PAIRWISE = Rubric("pairs", RubricKind.PAIRWISE, "Choose.", (Criterion("better", "Better.", Scale(-1, 1)),))


def csv_file(rows: Sequence[Mapping[str, Any]], *, delimiter: str = ",", **options: Any) -> io.BytesIO:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=delimiter, **options)
    writer.writeheader()
    writer.writerows(rows)
    return io.BytesIO(text.getvalue().encode())


def jsonl_file(rows: Iterable[Mapping[str, Any]]) -> io.BytesIO:
    return io.BytesIO("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def gzipped(file: io.BytesIO) -> io.BytesIO:
    return io.BytesIO(gzip.compress(file.getvalue(), mtime=0))


def rows_of(file: io.BytesIO, limits: Limits | None = None) -> list[dict[str, Cell]]:
    table = open_table(file, limits)
    rows: list[dict[str, Cell]] = []
    for batch in table.batches:
        assert not batch.problems, batch.problems
        assert all(len(column) == len(batch.rows) for column in batch.columns.values())
        rows += [
            dict(zip(batch.columns, values, strict=True))
            for values in zip(*batch.columns.values(), strict=True)
        ]
    return rows


def grade(**changed: Any) -> dict[str, Any]:
    """A row of human grades that is right."""
    return {
        "item_id": "q1",
        "system": "bot",
        "criterion": "helpful",
        "annotator": "ann-1",
        "annotator_type": "expert",
        "score": "4",
    } | changed


def preference(**changed: Any) -> dict[str, Any]:
    """A row of human preferences that is right."""
    return {
        "item_id": "q1",
        "system_a": "bot",
        "system_b": "cat",
        "annotator": "ann-1",
        "annotator_type": "crowd",
        "verdict": "A",
    } | changed


def verdict(**changed: Any) -> dict[str, Any]:
    """A row of recorded verdicts that is right."""
    return {
        "item_id": "q1",
        "system": "bot",
        "criterion": "helpful",
        "judge": "judge-x",
        "judge_family": "alder",
        "score": "3.5",
    } | changed


def anchors(
    rows: Sequence[Mapping[str, Any]] | io.BytesIO, rubric: Rubric = POINTWISE, mapping: Any = None
) -> Upload:
    return _upload(rows, Uploaded.ANCHORS, rubric, mapping)


def verdicts(
    rows: Sequence[Mapping[str, Any]] | io.BytesIO, rubric: Rubric = POINTWISE, mapping: Any = None
) -> Upload:
    return _upload(rows, Uploaded.VERDICTS, rubric, mapping)


def _upload(rows: Any, what: Uploaded, rubric: Rubric, mapping: Any) -> Upload:
    file = rows if isinstance(rows, io.BytesIO) else csv_file(rows)
    text = None if mapping is None else json.dumps(mapping)
    return Upload(file, what, rubric, read_mapping(text, what, rubric.kind))


def example_rubric(name: str) -> Rubric:
    """A rubric of examples/rubrics, as the service reads it."""
    raw = json.loads((EXAMPLES / "rubrics" / f"{name}.json").read_text())
    return Rubric(
        name,
        RubricKind(raw["kind"]),
        raw["instructions"],
        tuple(
            Criterion(
                c["name"],
                c["description"],
                Scale(c["scale"]["min"], c["scale"]["max"], c["scale"]["step"]),
                c["higher_is_better"],
            )
            for c in raw["criteria"]
        ),
    )
