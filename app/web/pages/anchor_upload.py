"""Bringing human grades in by browser: choose a file, see how it is read, mend the mapping, store it.

Between choosing and storing the file waits in the data directory (`app.anchoring.drafts`); nothing is part
of the project before "Store".
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.access.keys import Caller
from app.anchoring.corrections import Corrections, read_corrections
from app.anchoring.drafts import KEPT_FOR, Draft
from app.anchoring.guess import guess_mapping
from app.anchoring.ingest import AnchorUpload
from app.anchoring.mapping import STRATUM, Uploaded, our_columns
from app.anchoring.preview import Preview, preview
from app.anchoring.rows import open_rows
from app.anchoring.shapes.reading import find_shape
from app.anchoring.shapes.shape import SHAPE_NAMES, Shape
from app.anchoring.template import MEDIA_TYPES, TemplateFormat, template
from app.domain.problems import BadInput, Problem
from app.domain.projects import Scope
from app.domain.rubrics import Rubric, RubricKind, RubricVersion
from app.web.callers import needs
from app.web.downloads import attachment, csv_download
from app.web.pages.addresses import url
from app.web.pages.around import Wrong
from app.web.pages.chosen import Option, choose
from app.web.pages.page import HEADERS, Link, show
from app.web.pages.words import count, counted, sentence, size
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

Uploader = Annotated[Caller, needs(Scope.ANCHORS)]

_SHOWN = 100  # problems listed on the page; the download has all

MEANINGS = {
    "item_id": "your id of the prompt",
    "prompt": "the text every answer answers",
    "context": "what came with the prompt",
    "reference": "a known good answer",
    "criterion": "which criterion the grade is about",
    "score": "the human grade, on the criterion's scale",
    "verdict": "A, B or tie",
    "system": "what wrote the answer",
    "system_family": "the lineage of its model",
    "answer": "the text that was graded",
    "annotator": "who gave the grade",
    "annotator_type": "expert, crowd, user, ... never a model",
    "graded_at": "when",
    "source": "where the grade comes from",
    "blind": "yes if systems and model scores were hidden",
    "inclusion_probability": "the chance with which this answer was drawn to be graded",
    "scale_min": "the score that says B is better by most",
    "scale_max": "the score that says A is better by most",
    "len_words": "length of the answer",
    "system_a": "what wrote A",
    "system_b": "what wrote B",
    "answer_a": "text of A",
    "answer_b": "text of B",
}
# What is advised to scripts, and what to people at the form.
_OF_SCRIPTS = (
    "add the column, or name it in mapping.columns or mapping.constants",
    "choose its column below, or give one value for every row",
)
_FIRST = {
    False: ("item_id", "prompt", "system", "answer", "criterion", "score", "annotator", "annotator_type"),
    True: (
        "item_id", "prompt", "system_a", "answer_a", "system_b", "answer_b", "criterion", "verdict", "score",
        "annotator", "annotator_type",
    ),
}  # fmt: skip
_CONSTANTS = (
    *("criterion", "annotator", "annotator_type", "source", "blind", "graded_at", "system", "system_family"),
    *("scale_min", "scale_max", "inclusion_probability"),
)


@dataclass(frozen=True, slots=True)
class ChoosePage:
    """The first step. ``rubrics`` is empty where there is none to grade by."""

    title: str
    rubrics: tuple[Option, ...]
    anchor_set: str
    replace: bool
    wrong: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    templates: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class ColumnField:
    """One of our columns: which of the file's it is, or one value for every row."""

    name: str
    meaning: str
    options: tuple[Option, ...]
    constant: str | None


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """The second step. ``ready`` says in a sentence what storing will do; None while anything is wrong.

    ``remembered`` says that the columns are read as in an earlier upload, ``corrected`` how many rows were
    mended, ``correctable`` that single rows are wrong; ``not_taken`` is what was wrong with corrections.
    """

    title: str
    token: str
    file_name: str
    format: str
    shapes: tuple[Option, ...]
    size: str
    rubric: str
    anchor_set: str
    replace: bool
    expires: str
    remembered: bool
    corrected: str | None
    correctable: bool
    not_taken: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    fields: tuple[ColumnField, ...]
    more_fields: tuple[ColumnField, ...]
    strata: tuple[Option, ...]
    repeats: tuple[Option, ...]
    values: str
    where: str
    mapping: str
    ready: str | None
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    refused: str | None
    problems: tuple[Wrong, ...]
    hidden: str | None
    counts: tuple[tuple[str, str], ...]


@router.get("/ui/anchor-sets/upload")
async def choose_file(
    request: Request,
    caller: Uploader,
    services: Served,
    rubric: Annotated[str | None, Query(max_length=200)] = None,
    anchor_set: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """The form for a file."""
    return await _choose_page(request, caller, services, rubric, anchor_set)


@router.post("/ui/anchor-sets/upload")
async def take_file(
    request: Request,
    caller: Uploader,
    services: Served,
    file: Annotated[UploadFile, File()],
    rubric: Annotated[str, Form(max_length=200)],
    anchor_set: Annotated[str, Form(max_length=200)] = "",
    replace: Annotated[bool, Form()] = False,
) -> Response:
    """Keep the file and show how it is read."""
    wrong = [] if file.size else ["The file is empty, or none was chosen."]
    if not anchor_set.strip() or "\x00" in anchor_set:
        wrong.append("Name the anchor set.")
    version = await services.rubrics.latest(caller.project, rubric)
    mapping, known, shape = "", None, Shape.TABLE
    if not wrong:
        try:
            shape = await asyncio.to_thread(find_shape, file.file)
            found = await asyncio.to_thread(preview, file.file, version.rubric, shape=shape)
            known = await services.anchors.remembered(caller.project, version, found.columns, shape)
            mapping = known or _guessed(found, version)
        except BadInput as bad:
            wrong = [sentence(bad.summary), *(sentence(_words(one)) for one in bad.problems[:10])]
    if wrong:
        return await _choose_page(request, caller, services, rubric, anchor_set, replace, tuple(wrong))
    draft = await asyncio.to_thread(
        services.drafts.keep,
        caller.project,
        file.file,
        file_name=file.filename or "upload",
        rubric=rubric,
        anchor_set=anchor_set.strip(),
        replace=replace,
        mapping=mapping,
        remembered=known is not None,
        shape=shape.value,
    )
    return RedirectResponse(url("anchor-sets", "upload", draft.token), 303, HEADERS)


def _guessed(found: Preview, version: RubricVersion) -> str:
    guessed = guess_mapping(found.columns, version.rubric)
    return json.dumps({"columns": dict(guessed.columns)}, ensure_ascii=False)


@router.get("/ui/anchor-sets/upload/template")
async def download_template(
    caller: Uploader,
    services: Served,
    rubric: Annotated[str, Query(max_length=200)],
    format: Annotated[TemplateFormat, Query()] = TemplateFormat.CSV,
) -> Response:
    """A file to fill in."""
    version = await services.rubrics.latest(caller.project, rubric)
    headers = {**HEADERS, **attachment(f"{rubric}-anchors.{format.value}")}
    return Response(template(version.rubric, format), 200, headers, MEDIA_TYPES[format])


@router.get("/ui/anchor-sets/upload/{token}")
async def show_preview(request: Request, token: str, caller: Uploader, services: Served) -> Response:
    """How the file is read under its mapping, and everything that is wrong with it."""
    draft = await asyncio.to_thread(services.drafts.get, caller.project, token)
    return show(request, "upload_preview.html", await _preview_page(caller, services, draft))


@router.post("/ui/anchor-sets/upload/{token}")
async def change_or_store(request: Request, token: str, caller: Uploader, services: Served) -> Response:
    """Check again under another mapping or with other columns guessed, store the file, or throw it away."""
    draft = await asyncio.to_thread(services.drafts.get, caller.project, token)
    form = await request.form()
    if form.get("action") == "discard":
        await asyncio.to_thread(services.drafts.forget, draft)
        return RedirectResponse(url("anchor-sets"), 303, HEADERS)
    if form.get("action") == "guess":
        await _read_as(caller, services, draft, Shape(draft.shape), remembered=False)
        return RedirectResponse(url("anchor-sets", "upload", token) + "#mapping-title", 303, HEADERS)
    if form.get("action") == "shape":
        said = form.get("shape")
        shape = next((one for one in Shape if one.value == said), Shape.TABLE)
        await _read_as(caller, services, draft, shape, remembered=True)
        return RedirectResponse(url("anchor-sets", "upload", token) + "#result", 303, HEADERS)
    draft = await asyncio.to_thread(services.drafts.change, draft, mapping=_mapping_of(form))
    if form.get("action") == "store":
        try:
            stored = await _upload(caller, services, draft, dry_run=False)
        except BadInput:
            return RedirectResponse(
                url("anchor-sets", "upload", token), 303, HEADERS
            )  # it says what is wrong
        await asyncio.to_thread(services.drafts.forget, draft)
        how = "yes" if stored.changed else "same"
        return RedirectResponse(url("anchor-sets", draft.anchor_set, stored=how), 303, HEADERS)
    return RedirectResponse(url("anchor-sets", "upload", token) + "#result", 303, HEADERS)


async def _read_as(
    caller: Caller, services: Services, draft: Draft, shape: Shape, *, remembered: bool
) -> None:
    """Read the waiting file as another shape, or its columns anew; what cannot be read so is told there."""
    version = await services.rubrics.latest(caller.project, draft.rubric)
    known, mapping = None, ""
    try:
        with services.drafts.open(draft) as file:
            seen = await asyncio.to_thread(preview, file, version.rubric, shape=shape)
        if remembered:
            known = await services.anchors.remembered(caller.project, version, seen.columns, shape)
        mapping = known or _guessed(seen, version)
    except BadInput:
        pass
    await asyncio.to_thread(
        services.drafts.read_as,
        draft,
        shape=shape.value,
        mapping=mapping,
        remembered=known is not None,
    )


@router.post("/ui/anchor-sets/upload/{token}/corrections")
async def take_corrections(
    request: Request,
    token: str,
    caller: Uploader,
    services: Served,
    file: Annotated[UploadFile | None, File()] = None,
    action: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Put mended rows in place of those of the waiting file, or take all such rows back."""
    draft = await asyncio.to_thread(services.drafts.get, caller.project, token)
    try:
        if action == "undo":
            later = Corrections()
        elif file is None or not file.size:
            raise BadInput("The file is empty, or none was chosen.")
        else:
            later = await asyncio.to_thread(read_corrections, file.file)
            if not later.rows:
                raise BadInput("The file has no corrected rows.")
            version = await services.rubrics.latest(caller.project, draft.rubric)
            await _refuse_foreign(services, draft, version.rubric, later)
    except BadInput as bad:
        said = (sentence(bad.summary), *(sentence(_where(one)) for one in bad.problems[:10]))
        page = await _preview_page(caller, services, draft, not_taken=said)
        return show(request, "upload_preview.html", page, status=422)
    await asyncio.to_thread(services.drafts.correct, draft, later)
    return RedirectResponse(url("anchor-sets", "upload", token) + "#result", 303, HEADERS)


async def _refuse_foreign(services: Services, draft: Draft, rubric: Rubric, later: Corrections) -> None:
    """Corrections that name rows or columns which the file has not would make it unreadable ever after."""

    def read() -> None:
        with services.drafts.open(draft) as file:
            for _ in open_rows(file, rubric, shape=Shape(draft.shape), corrections=later).batches:
                pass

    await asyncio.to_thread(read)


@router.get("/ui/anchor-sets/upload/{token}/problems.csv")
async def download_problems(token: str, caller: Uploader, services: Served) -> Response:
    """Every wrong row, to be mended and sent back."""
    draft = await asyncio.to_thread(services.drafts.get, caller.project, token)
    with services.drafts.open(draft) as file:
        found = await services.anchors.problem_rows(
            caller.project,
            file=file,
            rubric=draft.rubric,
            mapping=draft.mapping or None,
            shape=Shape(draft.shape),
            corrections=await asyncio.to_thread(services.drafts.corrections, draft),
        )
    return csv_download(found, "problems.csv", HEADERS)


async def _choose_page(
    request: Request,
    caller: Caller,
    services: Services,
    rubric: str | None,
    anchor_set: str,
    replace: bool = False,
    wrong: tuple[str, ...] = (),
) -> Response:
    chosen = await choose(services, caller, rubric, None)
    version = chosen.version
    needed = () if version is None else _FIRST[version.rubric.kind is RubricKind.PAIRWISE]
    page = ChoosePage(
        title="Upload human grades",
        rubrics=tuple(Option(one.rubric.name, one.rubric.name, one is version) for one in chosen.rubrics),
        anchor_set=anchor_set or (f"{version.rubric.name}-people" if version else ""),
        replace=replace,
        wrong=wrong,
        columns=tuple((name, MEANINGS[name]) for name in needed),
        templates=() if version is None else template_links(version.rubric.name),
    )
    return show(request, "upload.html", page, status=422 if wrong else 200)


def template_links(rubric: str) -> tuple[Link, ...]:
    """A file to fill in, in every format."""
    return tuple(
        Link(one.value.upper(), url("anchor-sets", "upload", "template", rubric=rubric, format=one.value))
        for one in TemplateFormat
    )


async def _upload(caller: Caller, services: Services, draft: Draft, *, dry_run: bool) -> AnchorUpload:
    with services.drafts.open(draft) as file:
        return await services.anchors.upload(
            caller.project,
            file=file,
            rubric=draft.rubric,
            anchor_set=draft.anchor_set,
            mapping=draft.mapping or None,
            shape=Shape(draft.shape),
            corrections=await asyncio.to_thread(services.drafts.corrections, draft),
            replace=draft.replace,
            dry_run=dry_run,
        )


async def _preview_page(
    caller: Caller, services: Services, draft: Draft, not_taken: tuple[str, ...] = ()
) -> PreviewPage:
    version = await services.rubrics.latest(caller.project, draft.rubric)
    mapping = _parts(draft.mapping)
    refused: BadInput | None = None
    checked: AnchorUpload | None = None
    seen = Preview("unreadable", (), (), (), ())
    try:
        with services.drafts.open(draft) as file:
            mended = await asyncio.to_thread(services.drafts.corrections, draft)
            seen = await asyncio.to_thread(
                preview, file, version.rubric, shape=Shape(draft.shape), corrections=mended
            )
        checked = await _upload(caller, services, draft, dry_run=True)
    except BadInput as bad:
        refused = bad
    fields = _fields(version.rubric, seen.columns, mapping)
    first = _FIRST[version.rubric.kind is RubricKind.PAIRWISE]
    problems = () if refused is None else refused.problems
    return PreviewPage(
        title="Check the upload",
        token=draft.token,
        file_name=draft.file_name,
        format=seen.format.upper() if draft.shape == Shape.TABLE else SHAPE_NAMES[Shape(draft.shape)],
        shapes=tuple(Option(one.value, SHAPE_NAMES[one], one == draft.shape) for one in Shape),
        size=size(draft.size),
        rubric=draft.rubric,
        anchor_set=draft.anchor_set,
        replace=draft.replace,
        expires=counted(int(KEPT_FOR.total_seconds() // 3600), "hour"),
        remembered=draft.remembered,
        corrected=f"{counted(draft.corrected, 'row stands', 'rows stand')} corrected."
        if draft.corrected
        else None,
        correctable=any(one.row is not None for one in problems),
        not_taken=not_taken,
        header=seen.columns,
        rows=seen.rows,
        fields=tuple(one for one in fields if one.name in first),
        more_fields=tuple(one for one in fields if one.name not in first),
        strata=_strata(seen.columns, mapping),
        repeats=tuple(
            Option(value, label, mapping.get("repeats", "refuse") == value)
            for value, label in (
                ("refuse", "is a problem"),
                ("first", "counts as it was first"),
                ("last", "counts as it was last"),
            )
        ),
        values=_json(mapping.get("values")),
        where=_json(mapping.get("where")),
        mapping=draft.mapping,
        ready=None if checked is None else _ready(checked, draft),
        facts=() if checked is None else _facts(checked),
        warnings=() if checked is None else checked.checked.warnings,
        refused=None if refused is None else refused.summary,
        problems=tuple(_wrong(one) for one in problems[:_SHOWN]),
        hidden=f"{counted(len(problems) - _SHOWN, 'more problem')} in the download."
        if len(problems) > _SHOWN
        else None,
        counts=() if refused is None else tuple((words, count(n)) for words, n in refused.counts.items()),
    )


def _ready(upload: AnchorUpload, draft: Draft) -> str:
    grades = counted(upload.checked.rows, "human grade")
    if upload.set_version is None:
        return f"Every row can be read. Storing makes the anchor set {draft.anchor_set} of {grades}."
    number = upload.set_version.version + 1
    if draft.replace:
        return f"Every row can be read. Storing makes version {number} of {draft.anchor_set}: {grades} alone."
    return f"Every row can be read. Storing makes version {number} of {draft.anchor_set}, adding {grades}."


def _facts(upload: AnchorUpload) -> tuple[tuple[str, str], ...]:
    checked = upload.checked
    return (
        ("Rows", count(checked.read)),
        ("Grades", count(checked.rows)),
        ("Items", count(checked.items)),
        ("Annotators", count(checked.voices)),
        *((f"On {criterion}", count(n)) for criterion, n in sorted(checked.criteria.items())),
    )


def _fields(rubric: Rubric, header: Sequence[str], mapping: Mapping[str, Any]) -> tuple[ColumnField, ...]:
    columns, constants = mapping.get("columns", {}), mapping.get("constants", {})
    fields = []
    pairwise = rubric.kind is RubricKind.PAIRWISE
    for name in our_columns(Uploaded.ANCHORS, rubric.kind):
        if name == "criterion" and len(rubric.criteria) == 1:
            continue
        if not pairwise and name in ("scale_min", "scale_max"):
            continue
        by_name = name if name in header and name not in constants else None
        theirs = columns.get(name, by_name)
        fields.append(
            ColumnField(
                name=name,
                meaning=MEANINGS.get(
                    name, f"length of answer {name[-1].upper()}" if "len" in name else "family"
                ),
                options=(
                    Option("", "(not in the file)", theirs is None),
                    *(Option(one, one, one == theirs) for one in header),
                ),
                constant=str(constants.get(name, "")) if name in _CONSTANTS else None,
            )
        )
    order = {name: place for place, name in enumerate(_FIRST[pairwise])}
    return tuple(sorted(fields, key=lambda field: order.get(field.name, len(order))))


def _strata(header: Sequence[str], mapping: Mapping[str, Any]) -> tuple[Option, ...]:
    """Columns that are none of ours may be groups to report by; ``stratum.*`` are so by their name."""
    columns: Mapping[str, Any] = mapping.get("columns", {})
    strata = {their for name, their in columns.items() if name.startswith(STRATUM)}
    taken = {their for name, their in columns.items() if not name.startswith(STRATUM)}
    return tuple(Option(one, one.removeprefix(STRATUM), one in strata) for one in header if one not in taken)


def _mapping_of(form: FormData) -> str:
    """The form's fields as the ``mapping`` of `POST /anchors`; JSON that cannot be read stays as it is."""
    columns: dict[str, str | None] = {}
    constants: dict[str, str] = {}
    for key, value in form.multi_items():
        if not isinstance(value, str):
            continue
        part, _, name = key.partition(":")
        if part == "column":
            columns[name] = value or None
        elif part == "constant" and value.strip():
            constants[name] = value.strip()
    for name in constants:
        if not columns.get(name):
            columns.pop(name, None)
    constants = {name: value for name, value in constants.items() if name not in columns}
    for their in form.getlist("stratum"):
        if isinstance(their, str):
            columns[STRATUM + their.removeprefix(STRATUM)] = their
    mapping: dict[str, Any] = {"columns": columns, "constants": constants}
    for part in ("values", "where"):
        text = form.get(part)
        if isinstance(text, str) and text.strip():
            mapping[part] = _loaded(text)
    repeats = form.get("repeats")
    if repeats:
        mapping["repeats"] = repeats
    return json.dumps(mapping, ensure_ascii=False)


def _loaded(text: str) -> Any:
    """What the text says as JSON; itself if it is none, so that checking the mapping names the problem."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _parts(mapping: str) -> Mapping[str, Any]:
    raw = _loaded(mapping) if mapping else {}
    return raw if isinstance(raw, dict) else {}


def _json(part: Any) -> str:
    if not part:
        return ""
    return part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)


def _wrong(one: Problem) -> Wrong:
    where = ", ".join(
        part for part in (f"row {one.row}" if one.row else "", one.column or "", one.path or "") if part
    )
    return Wrong(where, one.problem.replace(*_OF_SCRIPTS), "" if one.value is None else str(one.value)[:200])


def _where(one: Problem) -> str:
    row = f"row {one.row}: " if one.row else ""
    return f"{row}{_words(one)}"


def _words(one: Problem) -> str:
    return f"{one.column or one.path or ''} {one.problem}".strip()
