"""The top of a file of human grades, as a person should see it before it is uploaded."""

from dataclasses import dataclass
from typing import BinaryIO

from app.anchoring.corrections import Corrections
from app.anchoring.limits import Limits
from app.anchoring.mapping import STRATUM, Uploaded, our_columns, text_of
from app.anchoring.rows import open_rows
from app.anchoring.shapes.shape import Shape
from app.domain.rubrics import Rubric

_LONGEST = 200  # characters of a cell


@dataclass(frozen=True, slots=True)
class Preview:
    """The columns of a file and its first rows as text, long cells cut.

    ``recognised`` are columns that carry a name of ours and so need no mapping; ``others`` do not.
    """

    format: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    recognised: tuple[str, ...]
    others: tuple[str, ...]


def preview(
    file: BinaryIO,
    rubric: Rubric,
    *,
    rows: int = 8,
    shape: Shape = Shape.TABLE,
    limits: Limits | None = None,
    corrections: Corrections | None = None,
) -> Preview:
    """The first ``rows`` rows of a file.

    Raises
    ------
    BadInput
        If even these cannot be read.
    """
    table = open_rows(file, rubric, shape=shape, limits=limits, corrections=corrections)
    batch = next(iter(table.batches))
    cells = [[_shown(text_of(cell)) for cell in column[:rows]] for column in batch.columns.values()]
    ours = set(our_columns(Uploaded.ANCHORS, rubric.kind))
    known = tuple(name for name in batch.columns if name in ours or name.startswith(STRATUM))
    return Preview(
        format=table.format,
        columns=tuple(batch.columns),
        rows=tuple(zip(*cells, strict=True)),
        recognised=known,
        others=tuple(name for name in batch.columns if name not in known),
    )


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
