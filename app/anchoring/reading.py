"""An uploaded file of any format as a table of rows. What it is, its content says, not its name."""

from typing import BinaryIO

from app.anchoring.delimited import open_delimited
from app.anchoring.json_lines import open_json_lines
from app.anchoring.limits import Limits
from app.anchoring.parquet import open_parquet
from app.anchoring.table import Table
from app.anchoring.text_blocks import Unpacked, text_blocks
from app.anchoring.workbook import open_workbook
from app.domain.problems import BadInput, UnsupportedFormat

_FOREIGN = {
    b"\xd0\xcf\x11\xe0": "an old Excel (.xls) or a protected workbook; save it as XLSX without a password",
    b"%PDF": "a PDF; send CSV, JSONL, Parquet or XLSX",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; use gzip",
    b"BZh": "compressed with bzip2; use gzip",
    b"\xfd7zXZ": "compressed with xz; use gzip",
    b"7z\xbc\xaf": "a 7-Zip archive; send the file inside it",
    b"Rar!": "a RAR archive; send the file inside it",
    b"SQLite format 3": "a SQLite database; send CSV, JSONL, Parquet or XLSX",
    b"ARROW1": "an Arrow (Feather) file; write Parquet instead",
    b"Obj\x01": "an Avro file; write Parquet instead",
}


def open_table(file: BinaryIO, limits: Limits | None = None) -> Table:
    """The table in ``file``, read from its start; the file must be seekable and stay open meanwhile.

    CSV (comma, tab, semicolon or bar), JSONL, gzip of either, Parquet, XLSX. Memory is bounded by a
    batch, whatever the file's size; a workbook's first sheet is held whole, within its own limits.

    Raises
    ------
    UnsupportedFormat
        For a kind of file that is not read here.
    TooLarge
        For one beyond the limits.
    BadInput
        For one that cannot be read, here or while batches are taken.
    """
    limits = limits or Limits()
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if not head:
        raise BadInput("The file is empty.")
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise UnsupportedFormat(f"The file is {what}.")
    if head.startswith(b"PAR1"):
        return open_parquet(file, limits)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return open_workbook(file, limits)
    if not head.startswith(b"\x1f\x8b"):
        return _text_table(file, head, limits)
    packed = Unpacked(file, limits)
    head = packed.read(512)
    file.seek(0)
    if head.startswith((b"PAR1", b"PK\x03\x04", b"\x1f\x8b")):
        raise UnsupportedFormat("Only CSV and JSONL may be gzipped; send this file as it is.")
    return _text_table(Unpacked(file, limits), head, limits)


def _text_table(raw: BinaryIO | Unpacked, head: bytes, limits: Limits) -> Table:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        raise UnsupportedFormat("The file begins like a JSON array; write one JSON object per line (JSONL).")
    blocks = text_blocks(raw, limits)
    return open_json_lines(blocks, limits) if start.startswith(b"{") else open_delimited(blocks, limits)
