"""Parquet, a batch of rows at a time. Needs the ``formats`` extra."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from app.anchoring.arrow_cells import arrow_cells, refusing_damage
from app.anchoring.limits import MIB, Limits, show_bytes
from app.anchoring.table import Batch, Table, named_columns
from app.domain.problems import BadInput, Problem, TooLarge, UnsupportedFormat

_AT_ONCE = 16
_NAMES_LIMIT = 1_000_000  # bytes and entries of the footer's strings and lists


def open_parquet(file: BinaryIO, limits: Limits) -> Table:
    """A table of a Parquet file. Dates become ISO text, nested values their JSON text.

    Raises
    ------
    UnsupportedFormat
        If pyarrow is not installed.
    BadInput
        If the file is damaged, empty, holds binary columns, or names a column twice.
    TooLarge
        If a row group would unpack beyond ``limits.row_group``.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError as error:
        raise UnsupportedFormat(
            "Parquet files need the extra packages: pip install 'venire[formats]' (or send CSV or JSONL)."
        ) from error
    with refusing_damage("The Parquet file"):
        schema = pq.read_schema(file)
        names = named_columns(schema.names, limits.columns)
        binary = [field.name for field in schema if _is_binary(pa, field.type)]
        if binary:
            raise BadInput(
                "Binary columns cannot be read; store them as text.",
                [Problem("is binary, not text", row=0, column=name) for name in binary],
            )
        file.seek(0)
        source = pq.ParquetFile(
            file,
            # Kept as codes: a long text that stands in a million rows is then held once, not a million times.
            read_dictionary=[field.name for field in schema if pa.types.is_string(field.type)],
            pre_buffer=False,
            buffer_size=MIB,
            thrift_string_size_limit=16 * _NAMES_LIMIT,
            thrift_container_size_limit=_NAMES_LIMIT,
        )
    if source.metadata.num_rows == 0:
        raise BadInput("The file has columns but no rows.")
    for group in range(source.metadata.num_row_groups):
        size = source.metadata.row_group(group).total_byte_size
        if size > limits.row_group:
            raise TooLarge(
                f"A row group unpacks to {show_bytes(size)}; write the file with smaller row groups"
                f" (at most {show_bytes(limits.row_group)})."
            )
    return Table(format="parquet", header=names, batches=_batches(source, names, limits))


def _batches(source: Any, names: tuple[str, ...], limits: Limits) -> Iterator[Batch]:
    first = 1
    with refusing_damage("The Parquet file"):
        # Several of our batches at once: the words of a column are made new with every record batch.
        for record_batch in source.iter_batches(batch_size=_AT_ONCE * limits.batch_rows, use_threads=False):
            columns = [arrow_cells(column) for column in record_batch.columns]
            for start in range(0, record_batch.num_rows, limits.batch_rows):
                end = min(start + limits.batch_rows, record_batch.num_rows)
                cells = {name: column[start:end] for name, column in zip(names, columns, strict=True)}
                yield Batch(rows=range(first + start, first + end), columns=cells)
            first += record_batch.num_rows


def _is_binary(pa: Any, kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )
