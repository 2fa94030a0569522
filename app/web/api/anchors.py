"""POST /anchors and GET /anchor-sets: what people said."""

import asyncio
import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Path, Response, UploadFile
from pydantic import Field

from app.access.keys import Caller
from app.anchoring.corrections import Corrections, read_corrections
from app.anchoring.ingest import AnchorUpload
from app.anchoring.shapes.shape import Shape
from app.domain.ids import read_id, show_id
from app.domain.projects import Scope
from app.web.callers import needs
from app.web.downloads import csv_download
from app.web.errors import documented
from app.web.fields import Answered, Name
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["anchors"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]
SetName = Annotated[
    str, Path(min_length=1, max_length=200, description="Name of the set.", examples=["helpfulness-2026"])
]
_SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def uploaded(example: str) -> Any:
    """The form field of an uploaded file; the example fits the example of its mapping."""
    return File(
        description="CSV (comma, tab, semicolon or bar), JSONL, gzip of either, Parquet or XLSX; UTF-8. "
        "What it is, its content says, not its name.",
        examples=[example],
    )


AnchorsFile = Annotated[
    UploadFile,
    uploaded("item_id,system,annotator,annotator_type,rating,lang\nq1,bot-v7,kim,expert,4,de\n"),
]
RubricField = Annotated[Name, Form(description="Name of the rubric.", examples=["helpfulness"])]
MappingField = Annotated[
    str | None,
    Form(
        max_length=100_000,
        description="JSON: `columns` {our name: the file's column, or null to leave it unread}, `constants` "
        "{our name: one value for all rows}, `where` {the file's column: value or values of rows to keep}, "
        "`values` {our name: {the file's value: ours, `*` for all others}}, `repeats` `refuse`, `first` or "
        "`last`: what to do when a row contradicts an earlier one. Columns of our names need no mapping; "
        "`stratum.*` is any group to report by.",
        examples=['{"columns": {"score": "rating", "stratum.language": "lang"}}'],
    ),
]


ShapeField = Annotated[
    Shape | None,
    Form(
        description="What wrote the file: `table` (one row per grade, any of the kinds above), or the JSON "
        "that `label-studio`, `argilla`, `promptfoo`, `inspect` or `mt-bench` write. Left out, the content "
        "says.",
        examples=["table"],
    ),
]
CorrectionsFile = Annotated[
    UploadFile | None,
    File(
        description="Rows in place of those of the file: what `POST /anchors/problems` answered, mended. "
        "`venire_row` says which row of the file is meant; a row without any other cell is left out.",
        examples=["venire_row,venire_problem,rating\n17,rating is outside the scale,4\n"],
    ),
]


class AnchorsAccepted(Answered):
    """What an upload of human grades did, or in a dry run would do."""

    anchor_set: str = Field(description="Name of the set.", examples=["helpfulness-2026"])
    version: int | None = Field(
        description="The set's version as it stands now; null in the dry run of a new set.", examples=[2]
    )
    rubric: str = Field(description="Name of the rubric.", examples=["helpfulness"])
    rubric_version: int = Field(
        description="Version of the rubric that the file was checked against.", examples=[3]
    )
    items: int = Field(description="Items in the set at this version (dry run: in the file).", examples=[120])
    grades: int = Field(
        description="Human grades in the set at this version (dry run: in the file).", examples=[360]
    )
    annotators: int = Field(
        description="Annotators in the set at this version (dry run: in the file).", examples=[3]
    )
    added: int = Field(description="Grades that this upload added or changed.", examples=[360])
    removed: int = Field(description="Grades that it changed or took out.", examples=[0])
    sha256: str = Field(
        description="Hash of the file and, if there is one, its mapping: the same twice changes nothing.",
        examples=[_SHA],
    )
    changed: bool = Field(description="Whether this upload made a new version.", examples=[True])
    dry_run: bool = Field(description="Whether this was only a check.", examples=[False])
    format: str = Field(description="What the file was read as.", examples=["csv"])
    rows: int = Field(description="Rows of the file that count.", examples=[360])
    warnings: list[str] = Field(
        description="What is worth knowing but no error.", examples=[["Columns that were not read: kind."]]
    )

    @staticmethod
    def of(upload: AnchorUpload) -> "AnchorsAccepted":
        """The upload as it is shown."""
        checked, stands = upload.checked, upload.set_version
        whole = None if upload.dry_run else stands
        return AnchorsAccepted(
            anchor_set=upload.anchor_set,
            version=stands.version if stands else None,
            rubric=upload.rubric.rubric.name,
            rubric_version=upload.rubric.version,
            items=whole.items if whole else checked.items,
            grades=whole.grades if whole else checked.rows,
            annotators=whole.annotators if whole else checked.voices,
            added=whole.added if whole and upload.changed else 0,
            removed=whole.removed if whole and upload.changed else 0,
            sha256=upload.sha256,
            changed=upload.changed,
            dry_run=upload.dry_run,
            format=checked.format,
            rows=checked.rows,
            warnings=list(checked.warnings),
        )


@router.post(
    "/anchors",
    summary="Upload human grades",
    responses=documented(400, 404, 409, 413, 415, 422),
)
async def post_anchors(
    caller: Uploader,
    services: Served,
    file: AnchorsFile,
    rubric: RubricField,
    anchor_set: Annotated[
        Name, Form(description="Name of the set they belong to.", examples=["helpfulness-2026"])
    ],
    mapping: MappingField = None,
    format: ShapeField = None,
    corrections: CorrectionsFile = None,
    dry_run: Annotated[bool, Form(description="Check the file and store nothing.", examples=[False])] = False,
    replace: Annotated[
        bool,
        Form(description="The file becomes the whole set; otherwise it is added to it.", examples=[False]),
    ] = False,
) -> AnchorsAccepted:
    """All rows or none; 422 names the first 1,000 rows that are wrong and why, and counts each problem.

    Columns: `item_id` or `prompt` (`context`, `reference`); `system`, `system_family`, `answer`,
    `len_words`, or for pairs `system_a`, `system_b`, `answer_a`, `answer_b` and so on; `criterion` (if the
    rubric has several); `annotator`, `annotator_type`; `score`, or for pairs `verdict` (A, B, tie) or a
    `score` from `scale_min` (B is better by most) to `scale_max` (A by most); optional `graded_at`,
    `source`, `blind`, `inclusion_probability`, `stratum.*`. A known item needs no texts.

    Anchors are human grades: a row whose `annotator_type`, `annotator` or `source` names a model is
    refused. The same file twice changes nothing; a grade that an annotator gave before is replaced. New
    anchors schedule a calibration. Rows whose first cell begins with `#venire` are notes of a template and
    not read. Of the files that other tools write, predictions and suggestions by models are never read, and
    labels that people took over from a model unchanged are refused; without a mapping their columns are
    guessed. What is stored under a mapping is remembered for the page that uploads files with these columns.
    """
    upload = await services.anchors.upload(
        caller.project,
        file=file.file,
        rubric=rubric,
        anchor_set=anchor_set,
        mapping=mapping,
        shape=format,
        corrections=await _corrections(corrections),
        replace=replace,
        dry_run=dry_run,
    )
    return AnchorsAccepted.of(upload)


async def _corrections(file: UploadFile | None) -> Corrections | None:
    return None if file is None else await asyncio.to_thread(read_corrections, file.file)


@router.post(
    "/anchors/problems",
    summary="Every wrong row of a file of human grades",
    response_class=Response,
    responses={
        200: {
            "content": {"text/csv": {"example": "venire_row,venire_problem,item_id,score\n17,..."}},
            "description": "The wrong rows: `venire_row` (from 1, the header not counted), `venire_problem`, "
            "and the file's own columns as they stand. Only the header if nothing is wrong.",
        },
        **documented(400, 404, 413, 415, 422),
    },
)
async def post_problems(
    caller: Uploader,
    services: Served,
    file: AnchorsFile,
    rubric: RubricField,
    mapping: MappingField = None,
    format: ShapeField = None,
    corrections: CorrectionsFile = None,
) -> Response:
    """All of them, where `POST /anchors` names the first 1,000; stores nothing.

    Mend the cells and send the table back as `corrections` beside the same file. What is wrong with the file
    as a whole, such as a column that is missing, is a 422 here too.
    """
    found = await services.anchors.problem_rows(
        caller.project,
        file=file.file,
        rubric=rubric,
        mapping=mapping,
        shape=format,
        corrections=await _corrections(corrections),
    )
    return csv_download(found, "problems.csv", {})


class RememberedOut(Answered):
    """A mapping that is remembered for files with certain columns."""

    id: str = Field(description="Its id.", examples=["map_0c5m3v9k2hx7q"])
    kind: str = Field(description="Kind of the rubric it was used under.", examples=["pointwise"])
    format: str = Field(description="What wrote the file.", examples=["table"])
    columns: list[str] = Field(
        description="Columns of the file, in the order of their names.", examples=[["q", "stars"]]
    )
    mapping: dict[str, Any] = Field(
        description="The mapping, as `POST /anchors` takes it.",
        examples=[{"columns": {"item_id": "q", "score": "stars"}}],
    )
    used_at: datetime = Field(description="When it was last used.", examples=["2026-11-22T10:00:00Z"])


class Mappings(Answered):
    """What is remembered."""

    items: list[RememberedOut] = Field(description="The last used first.", examples=[[]])


@router.get("/anchors/mappings", summary="Remembered mappings of columns", responses=documented(401))
async def list_mappings(caller: Reader, services: Served) -> Mappings:
    """How files of human grades were read when they were last stored, by their columns."""
    return Mappings(
        items=[
            RememberedOut(
                id=show_id("map", one.id),
                kind=one.kind,
                format=one.shape,
                columns=list(one.columns),
                mapping=json.loads(one.mapping),
                used_at=one.used_at,
            )
            for one in await services.anchors.mappings(caller.project)
        ]
    )


@router.delete(
    "/anchors/mappings/{mapping_id}",
    summary="Forget a mapping of columns",
    status_code=204,
    responses=documented(404, 422),
)
async def delete_mapping(
    mapping_id: Annotated[str, Path(max_length=40, description="Its id.", examples=["map_0c5m3v9k2hx7q"])],
    caller: Uploader,
    services: Served,
) -> None:
    """The next file with these columns is guessed at anew."""
    await services.anchors.forget_mapping(caller.project, read_id("map", mapping_id))
