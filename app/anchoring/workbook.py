"""XLSX: the first sheet, after its parts have been weighed and looked through. Needs the ``formats`` extra.

The sheet's reader holds the whole sheet, and as much memory as the sheet's corner cells claim, so a
workbook is unpacked once beforehand, in pieces, to see how large it truly is and what its cells hold.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app.anchoring.arrow_cells import arrow_cells, refusing_damage
from app.anchoring.limits import MIB, Limits, show_bytes
from app.anchoring.table import Batch, Table, named_columns
from app.domain.problems import BadInput, Problem, TooLarge, UnsupportedFormat

_PIECE = 256 * 1024
_OVERLAP = 64 * 1024  # longer than any formula Excel takes
_FREE_RATIO = 8 * MIB
_CELL = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,3})([0-9]{1,7})["']""")
_UNCOMPUTED = re.compile(
    rb"""<c\s[^>]*?\br\s*=\s*["']([A-Z]{1,3}[0-9]{1,7})["'][^>]*>\s*"""
    rb"""<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"""
)
_FAULTY = re.compile(
    rb"""<c\s(?=[^>]*\bt\s*=\s*["']e["'])[^>]*?\br\s*=\s*["']([A-Z]{1,3}[0-9]{1,7})["'][^>]*>"""
)


@dataclass(slots=True)
class _Sheet:
    """What one sheet's XML claims: its last row and column, formulas without a result, error cells."""

    rows: int = 0
    columns: int = 0
    uncomputed: dict[str, None] = field(default_factory=dict)
    faulty: dict[str, None] = field(default_factory=dict)


def open_workbook(file: BinaryIO, limits: Limits) -> Table:
    """A table of the first sheet; its first row names the columns. Dates become ISO text.

    Text that begins with ``=``, ``+``, ``-`` or ``@`` is text; a formula counts as its stored result.

    Raises
    ------
    UnsupportedFormat
        If fastexcel is not installed, or the file is another kind of zip.
    TooLarge
        If it unpacks, or its sheet spreads, beyond the limits.
    BadInput
        If it is damaged, empty, or holds formulas without a stored result or error values.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise UnsupportedFormat(
            "XLSX files need the extra packages: pip install 'venire[formats]' (or send CSV or JSONL)."
        ) from error
    _weigh(file, limits)
    file.seek(0)
    with refusing_damage("The workbook"):
        reader = fastexcel.read_excel(file.read())
        if not reader.sheet_names:
            raise BadInput("The workbook has no sheet.")
        top = reader.load_sheet(0, header_row=None, skip_rows=0, n_rows=1, dtypes="string").to_arrow()
        if top.num_rows == 0 or top.num_columns == 0:
            raise BadInput("The first sheet is empty.")
        # A column of numbers is kept as such: as text it would lose what lies beyond nine decimals.
        cells = reader.load_sheet(0, header_row=None, skip_rows=1, schema_sample_rows=None).to_arrow()
    warnings = []
    if len(reader.sheet_names) > 1:
        warnings.append(
            f"Only the first sheet ({reader.sheet_names[0]!r}) of {len(reader.sheet_names)} was read."
        )
    if cells.num_rows == 0:
        raise BadInput("The first sheet has a header but no rows.")
    header = [column[0].as_py() for column in top.columns]
    # Columns that are blank from top to bottom, as trailing ones often are, are no columns.
    kept = [
        place
        for place, column in enumerate(cells.columns)
        if header[place] is not None or column.null_count < cells.num_rows
    ]
    names = named_columns([header[place] for place in kept], limits.columns)
    return Table(format="xlsx", header=names, batches=_batches(cells, names, kept, limits), warnings=warnings)


def _batches(cells: Any, names: tuple[str, ...], kept: list[int], limits: Limits) -> Iterator[Batch]:
    any_row = False
    for start in range(0, cells.num_rows, limits.batch_rows):
        piece = cells.slice(start, limits.batch_rows)
        columns = [arrow_cells(piece.column(place)) for place in kept]
        full = [
            k for k, row in enumerate(zip(*columns, strict=True)) if any(value is not None for value in row)
        ]
        if not full:
            continue
        any_row = True
        if len(full) < piece.num_rows:
            columns = [[column[k] for k in full] for column in columns]
        yield Batch(rows=[start + 1 + k for k in full], columns=dict(zip(names, columns, strict=True)))
    if not any_row:
        raise BadInput("The first sheet has a header but no rows.")


def _weigh(file: BinaryIO, limits: Limits) -> None:
    """Unpack every part once, in pieces, and refuse what is too large or cannot be trusted."""
    file.seek(0, 2)
    size = file.tell()
    if size > limits.workbook:
        raise TooLarge(
            f"A workbook may have {show_bytes(limits.workbook)}, not {show_bytes(size)}; send CSV instead."
        )
    file.seek(0)
    with refusing_damage("The workbook"), zipfile.ZipFile(file) as parts:
        members = parts.infolist()
    if "xl/workbook.xml" not in {member.filename for member in members}:
        raise UnsupportedFormat(
            "The file is a zip archive but no XLSX workbook; send the CSV or JSONL inside it."
        )
    claimed = sum(member.file_size for member in members)
    if claimed > limits.workbook_unpacked or len(members) > 10_000:
        raise TooLarge(
            f"The workbook unpacks to {show_bytes(claimed)};"
            f" at most {show_bytes(limits.workbook_unpacked)} is read."
        )
    if claimed > max(_FREE_RATIO, limits.ratio * size):
        raise TooLarge(f"The workbook unpacks to more than {limits.ratio} times its size: refused as a bomb.")
    for member in members:
        if member.flag_bits & 1:
            raise BadInput("The workbook is encrypted; save it without a password.")
        _look_through(file, member, limits)


def _look_through(file: BinaryIO, member: zipfile.ZipInfo, limits: Limits) -> None:
    is_sheet = member.filename.startswith("xl/worksheets/") and member.filename.endswith(".xml")
    sheet, tail = _Sheet(), b""
    for piece in _unpacked(file, member):
        if not is_sheet:
            continue
        text = tail + piece
        for column, row in set(_CELL.findall(text)):
            sheet.rows = max(sheet.rows, int(row))
            sheet.columns = max(sheet.columns, _column_number(column))
        if sheet.rows * sheet.columns > limits.cells:
            raise TooLarge(
                f"The sheet spreads over {sheet.rows:,} rows and {sheet.columns:,} columns;"
                f" at most {limits.cells:,} cells are read. Delete stray cells far from the table."
            )
        for found, pattern in ((sheet.uncomputed, _UNCOMPUTED), (sheet.faulty, _FAULTY)):
            found.update(dict.fromkeys(match.decode() for match in pattern.findall(text)))
        tail = text[-_OVERLAP:]
    problems = [
        *(_cell_problem("is a formula without a stored result", cell) for cell in sheet.uncomputed),
        *(_cell_problem("is an error value (such as #N/A)", cell) for cell in sheet.faulty),
    ]
    if problems:
        raise BadInput(
            "Some cells have no value: save the workbook in a spreadsheet program, or paste values.",
            problems[:1000],
            {
                "is a formula without a stored result": len(sheet.uncomputed),
                "is an error value (such as #N/A)": len(sheet.faulty),
            },
        )


def _unpacked(file: BinaryIO, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of one part, as they truly unpack: the directory's sizes are only a claim."""
    damaged = BadInput(f"The workbook is damaged in {member.filename[:100]!r}.")
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise damaged
    name_size, extra_size = struct.unpack("<HH", header[26:30])
    file.seek(name_size + extra_size, 1)
    left, given = member.compress_size, 0
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnsupportedFormat(
            "The workbook uses an unusual compression; save it again from a spreadsheet program."
        )
    inflate = zlib.decompressobj(-15) if member.compress_type == zipfile.ZIP_DEFLATED else None
    while left or (inflate is not None and inflate.unconsumed_tail):
        if inflate is not None and inflate.unconsumed_tail:
            packed = inflate.unconsumed_tail
        else:
            packed = file.read(min(_PIECE, left))
            left -= len(packed)
            if not packed:
                raise damaged
        try:
            piece = packed if inflate is None else inflate.decompress(packed, _PIECE)
        except zlib.error as error:
            raise damaged from error
        given += len(piece)
        if given > member.file_size:
            raise TooLarge("The workbook unpacks to more than its directory says: refused as a bomb.")
        yield piece
        if inflate is not None and inflate.eof:
            break


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _cell_problem(problem: str, cell: str) -> Problem:
    letters = cell.rstrip("0123456789")
    return Problem(problem, row=int(cell[len(letters) :]) - 1, column=f"column {letters}")
