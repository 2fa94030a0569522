"""How answers are laid out, for the few whose layout matters: those that people graded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from app.domain.layout import layout_of
from app.storage.columns import distinct, is_one_of
from app.storage.tables import answers, texts

Ids = NDArray[np.int64]
_AT_ONCE = 2_000  # texts in memory


def marks_of(connection: Connection, answer_ids: Ids) -> NDArray[np.float64]:
    """Marks of Markdown per answer (k,), ids of which -1 is none; NaN where the text is not known."""
    ids = distinct(answer_ids[answer_ids >= 0])
    known = {
        answer: layout_of(body.decode(errors="replace")).marks for answer, body in _bodies(connection, ids)
    }
    return np.array([known.get(int(answer), np.nan) for answer in answer_ids], dtype=np.float64)


def _bodies(connection: Connection, ids: Ids) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(ids), _AT_ONCE):
        some = is_one_of(connection, answers.c.id, ids[start : start + _AT_ONCE].tolist())
        query = select(answers.c.id, texts.c.body).join(texts, texts.c.id == answers.c.text_id).where(some)
        for row in connection.execute(query):
            yield row[0], row[1]
