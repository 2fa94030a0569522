"""POST /verdicts and GET /imports/{id}: judge verdicts recorded elsewhere."""

import os
from io import BufferedReader
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, UploadFile
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.access.keys import Caller
from app.anchoring.imports import ImportProgress
from app.domain.ids import show_id
from app.domain.projects import Scope
from app.web.api.anchors import MappingField, RubricField, uploaded
from app.web.callers import needs
from app.web.errors import ProblemItem, documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["verdicts"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]
Uploader = Annotated[Caller, needs(Scope.ANCHORS)]

VerdictsFile = Annotated[
    UploadFile,
    uploaded("item_id,system,judge,judge_family,rating,lang\nq1,bot-v7,gpt-x,openai,4,de\n"),
]

# Files up to these sizes (bytes) are stored before the answer is given: some ten thousand rows.
_AT_ONCE_TEXT = 4_000_000
_AT_ONCE_PACKED = 400_000
_PACKED = (b"\x1f\x8b", b"PAR1", b"PK\x03\x04")
_MOST_PROBLEMS = 1_000

Count = Annotated[int, Field(ge=0)]


class ImportOut(Answered):
    """An import of recorded verdicts, as far as it is. Nothing of it counts until it is done."""

    import_id: str | None = Field(description="Its id; null for a dry run.", examples=["i_0c5m8qk2t7x1v"])
    status: Literal["checking", "storing", "running", "done", "failed", "checked"] = Field(
        description="`checking` the file, `storing` its rows, `done`, `failed`, or `running` in another "
        "process of this service; `checked` after a dry run.",
        examples=["storing"],
    )
    sha256: str | None = Field(
        description="Hash of the file and, if there is one, its mapping.", examples=["9f86d081884c7d65"]
    )
    bytes_total: Count | None = Field(description="Size of the file as sent.", examples=[91847813])
    bytes_read: Count | None = Field(description="How much of it was read in checking.", examples=[45923906])
    rows_read: Count | None = Field(description="Rows read in checking.", examples=[1000000])
    rows_total: Count | None = Field(
        description="Rows that count; known once the file is checked.", examples=[1000000]
    )
    rows_stored: Count | None = Field(description="Rows stored so far.", examples=[250000])
    items: Count | None = Field(description="Items in the file.", examples=[12500])
    judges: Count | None = Field(description="Judges in the file.", examples=[8])
    unscored: Count | None = Field(description="Rows in which a judge gave no value.", examples=[1051])
    verdicts: Count = Field(description="Verdicts that were new.", examples=[250000])
    duplicates: Count = Field(
        description="Verdicts that were there already (same judge, answers, criterion, draw and order).",
        examples=[0],
    )
    contradictions: Count = Field(
        description="Duplicates that say something else than what is there, which stays.", examples=[0]
    )
    repeated: bool = Field(description="The same file was imported before: nothing to do.", examples=[False])
    warnings: list[str] = Field(
        description="What is worth knowing but no error.", examples=[["Columns that were not read: kind."]]
    )
    error: str | None = Field(description="Why it failed.", examples=[None])
    errors: list[ProblemItem] = Field(
        description="If it failed: the first 1,000 wrong rows and why.", examples=[[]]
    )
    counts: dict[str, int] = Field(description="If it failed: rows per problem.", examples=[{}])

    @staticmethod
    def of(progress: ImportProgress) -> "ImportOut":
        """The progress as it is shown."""
        return ImportOut(
            import_id=show_id("i", progress.id),
            status=progress.status.value,
            sha256=progress.sha256,
            bytes_total=progress.bytes_total,
            bytes_read=progress.bytes_read,
            rows_read=progress.rows_read,
            rows_total=progress.rows_total,
            rows_stored=progress.rows_stored,
            items=progress.items,
            judges=progress.judges,
            unscored=progress.unscored,
            verdicts=progress.verdicts,
            duplicates=progress.duplicates,
            contradictions=progress.contradictions,
            repeated=progress.repeated,
            warnings=list(progress.warnings),
            error=progress.error,
            errors=[
                ProblemItem(
                    path=problem.path,
                    row=problem.row,
                    column=problem.column,
                    problem=problem.problem,
                    value=None if problem.value is None else str(problem.value)[:200],
                )
                for problem in progress.problems[:_MOST_PROBLEMS]
            ],
            counts=progress.counts,
        )


@router.post(
    "/verdicts",
    summary="Import recorded judge verdicts",
    responses={
        202: {"model": ImportOut, "description": "The import runs on; its progress is at Location"},
        **documented(400, 404, 409, 413, 415, 422),
    },
)
async def post_verdicts(
    caller: Uploader,
    services: Served,
    request: Request,
    response: Response,
    file: VerdictsFile,
    rubric: RubricField,
    mapping: MappingField = None,
    dry_run: Annotated[bool, Form(description="Check the file and store nothing.", examples=[False])] = False,
    wait: Annotated[
        bool | None,
        Form(
            description="Answer only when all is stored; by default this depends on the file's size.",
            examples=[True],
        ),
    ] = None,
) -> ImportOut:
    """All rows or none, any number of them. 200 when done; 202 for a large file, which goes on behind.

    Columns: `item_id` (or `prompt`), `system` (or `system_a`, `system_b` in the order shown), `criterion`
    (if the rubric has several), `judge`, `judge_family`, `score` or `verdict` (A, B, tie); optional `draw`
    (repeats of the same question, from 1), `order` (1, 2, both), `len_words` or `answer` (for pairs
    `len_words_a`, `answer_a` and so on), `judge_params`, `graded_at`, `unscored` (why there is no value:
    `timeout`, `refusal`, `unparsable`, `rate_limited`, `provider_error`, `budget` or `out_of_range`),
    `stratum.*`. Scores may lie between the steps of a scale: means of repeats do.

    The same file twice changes nothing; a verdict that is there already is not doubled. If people have graded
    answers by this rubric (`POST /anchors`), new verdicts start a calibration (`GET /calibrations`).
    """
    if dry_run:
        checked = await services.imports.check(caller.project, file=file.file, rubric=rubric, mapping=mapping)
        return ImportOut(
            **_nothing_yet(file),
            rows_read=checked.read,
            rows_total=checked.rows,
            items=checked.items,
            judges=checked.voices,
            unscored=checked.unscored,
            warnings=list(checked.warnings),
        )
    at_once = _is_small(file) if wait is None else wait
    kept = file.file if at_once else _outliving(file)
    try:
        running = await services.imports.begin(caller.project, file=kept, rubric=rubric, mapping=mapping)
    except BaseException:
        kept.close()
        raise
    if at_once or running.opened is None:
        with kept:
            return ImportOut.of(await running.run())

    async def go_on() -> None:
        with kept:
            await running.run_behind()

    services.background.start(go_on(), name="import of verdicts")
    shown = ImportOut.of(running.progress)
    response.status_code = 202
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/imports/{shown.import_id}"
    return shown


@router.get("/imports/{import_id}", summary="How far an import is", responses=documented(404, 422))
async def get_import(
    import_id: Annotated[
        str, Path(max_length=50, description="Id of the import.", examples=["i_0c5m8qk2t7x1v"])
    ],
    caller: Reader,
    services: Served,
) -> ImportOut:
    """Rows done, bytes read, and if it failed the rows that are wrong and why."""
    return ImportOut.of(await services.imports.progress(caller.project, import_id))


def _is_small(file: UploadFile) -> bool:
    head = file.file.read(4)
    file.file.seek(0)
    limit = _AT_ONCE_PACKED if head.startswith(_PACKED) else _AT_ONCE_TEXT
    return (file.size or 0) <= limit


def _outliving(file: UploadFile) -> BufferedReader:
    """The same bytes under a handle of their own: the request closes its file when it is answered."""
    return os.fdopen(os.dup(file.file.fileno()), "rb")


def _nothing_yet(file: UploadFile) -> dict[str, object]:
    return {
        "import_id": None,
        "status": "checked",
        "sha256": None,
        "bytes_total": file.size,
        "bytes_read": file.size,
        "rows_stored": 0,
        "verdicts": 0,
        "duplicates": 0,
        "contradictions": 0,
        "repeated": False,
        "error": None,
        "errors": [],
        "counts": {},
    }
