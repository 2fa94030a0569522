"""A file to fill in for a rubric: its columns, what each holds, and example rows that no upload reads."""

import csv
import io
import json
import zipfile
from enum import StrEnum
from xml.sax.saxutils import escape

from app.anchoring.rows import NOTE
from app.domain.rubrics import Criterion, Rubric, RubricKind


class TemplateFormat(StrEnum):
    """Kinds of file that a template comes as."""

    CSV = "csv"
    JSONL = "jsonl"
    XLSX = "xlsx"


MEDIA_TYPES = {
    TemplateFormat.CSV: "text/csv; charset=utf-8",
    TemplateFormat.JSONL: "application/jsonl; charset=utf-8",
    TemplateFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Row = dict[str, str]


def template(rubric: Rubric, kind: TemplateFormat) -> bytes:
    """A file of this kind with notes and examples only: whoever fills it in writes rows below them."""
    rows = template_rows(rubric)
    if kind is TemplateFormat.JSONL:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if kind is TemplateFormat.XLSX:
        return _workbook([list(rows[0]), *(list(row.values()) for row in rows)])
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, fieldnames=list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def template_rows(rubric: Rubric) -> tuple[Row, ...]:
    """The first row explains the columns, the others are examples, one per criterion.

    The first cell of each begins with the mark of a note.
    """
    pairwise = rubric.kind is RubricKind.PAIRWISE
    notes = _about_pairs() if pairwise else _about_answers(rubric)
    examples = []
    for criterion in rubric.criteria:
        example = {
            "item_id": f"{NOTE} example: q-17",
            "prompt": "How do I reset the lamp?",
            **(
                {
                    "system_a": "bot-v7",
                    "answer_a": "Hold the button for five seconds.",
                    "system_b": "bot-v8",
                    "answer_b": "Unplug it.",
                    "criterion": criterion.name,
                    "verdict": "A",
                }
                if pairwise
                else {
                    "system": "bot-v7",
                    "answer": "Hold the button for five seconds.",
                    "criterion": criterion.name,
                    "score": _example(criterion),
                }
            ),
            "annotator": "kim",
            "annotator_type": "expert",
            "graded_at": "2026-11-22T10:00:00Z",
            "blind": "yes",
            "stratum.language": "en",
        }
        examples.append(example)
    named = ", ".join(one.name for one in rubric.criteria)
    notes["criterion"] = f"one of: {named}; one row per criterion"
    if len(rubric.criteria) == 1:
        for row in (notes, *examples):
            del row["criterion"]
    return notes, *examples


def _about_answers(rubric: Rubric) -> Row:
    return {
        "item_id": f"{NOTE} rows that begin so are not read. Your id of the prompt",
        "prompt": "the text that every answer answers; may be left out for known items",
        "system": "what wrote the answer",
        "answer": "the text that was graded; may be left out for known items",
        "criterion": "",
        "score": "; ".join(_scale(one, len(rubric.criteria) > 1) for one in rubric.criteria),
        **_ABOUT_PEOPLE,
    }


def _about_pairs() -> Row:
    return {
        "item_id": f"{NOTE} rows that begin so are not read. Your id of the prompt",
        "prompt": "the text that both answers answer; may be left out for known items",
        "system_a": "what wrote A",
        "answer_a": "text of A",
        "system_b": "what wrote B",
        "answer_b": "text of B",
        "criterion": "",
        "verdict": "A, B or tie",
        **_ABOUT_PEOPLE,
    }


_ABOUT_PEOPLE = {
    "annotator": "who gave the grade: a person",
    "annotator_type": "expert, crowd, user, ...",
    "graded_at": "when; may be left out",
    "blind": "yes if systems and model scores were hidden; may be left out",
    "stratum.language": "a group to report by; rename it, add others, or leave it out",
}


def _scale(criterion: Criterion, named: bool) -> str:
    scale, before = criterion.scale, f"{criterion.name}: " if named else ""
    better = "more is better" if criterion.higher_is_better else "less is better"
    if scale.labels:
        return f"{before}{', '.join(scale.labels)} (or 1 to {len(scale.labels)}); {better}"
    steps = "" if scale.step is None else f" by {scale.step:g}"
    return f"{before}{scale.low:g} to {scale.high:g}{steps}; {better}"


def _example(criterion: Criterion) -> str:
    scale = criterion.scale
    if scale.labels:
        return scale.labels[-1]
    return f"{scale.low if scale.step is None else scale.low + scale.step:g}"


def _workbook(rows: list[list[str]]) -> bytes:
    """The smallest XLSX that holds these texts: one sheet, its strings written in place."""
    cells = "".join(
        f'<row r="{number}">'
        + "".join(
            f'<c r="{_letters(place)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for place, cell in enumerate(row)
        )
        + "</row>"
        for number, row in enumerate(rows, 1)
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="grades" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in parts.items():
            packed.writestr(
                zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{body}',
                zipfile.ZIP_DEFLATED,
            )  # fmt: skip
    return file.getvalue()


def _letters(place: int) -> str:
    return chr(65 + place) if place < 26 else _letters(place // 26 - 1) + _letters(place % 26)
