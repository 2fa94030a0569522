"""How large an upload may be, in which dimension, and the sentences that say so."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep a hostile or mistaken file from filling memory or disk. Bytes unless said otherwise.

    ``file`` bounds what is sent, ``unpacked`` what a gzip file or workbook becomes, ``ratio`` how many
    times larger that may be. ``record`` bounds one line or record, ``cell`` (characters) one value,
    ``document`` a JSON file that is held in memory as a whole.
    ``columns`` and ``cells`` are counts; ``cells`` is the area of a workbook's sheet, which its reader
    holds in memory as a whole. ``batch_rows`` and ``batch`` bound what is held at once.
    """

    file: int = 2048 * MIB
    unpacked: int = 8192 * MIB
    ratio: int = 400
    record: int = 8 * MIB
    cell: int = 2 * MIB
    document: int = 256 * MIB
    columns: int = 1_000
    workbook: int = 64 * MIB
    workbook_unpacked: int = 384 * MIB
    cells: int = 12_000_000
    row_group: int = 1024 * MIB
    batch_rows: int = 1_024
    batch: int = 16 * MIB


def show_bytes(count: int) -> str:
    """A size for people: 640 bytes, 12 KiB, 8.5 MiB."""
    if count < 1024:
        return f"{count} bytes"
    size = count / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
        size /= 1024
    raise AssertionError("unreachable")
