"""Seats that are at their provider, page by page, with what they were asked: it is not stored a second time,
but follows from the caller's request and the panel's seed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from app.batches.lines import unpack
from app.batches.patience import surely
from app.domain.judging import JudgeVersion, Seat
from app.domain.rubrics import RubricVersion
from app.grading.panel import question_of
from app.grading.requests import GradeRequest
from app.grading.rubrics import Rubrics
from app.judges.judge import Question
from app.storage.assignments import AssignedGrade
from app.storage.database import Database
from app.storage.provider_batches import Claimed
from app.storage.provider_requests import Request, asked_seats, chunk_of, requests_of

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """A request with its seat and question."""

    request: Request
    grade: AssignedGrade
    seat: Seat
    question: Question


class Forgotten(Exception):
    """The texts of a batch are not kept any more."""


class SentSeats:
    """Reads the seats of batches at providers."""

    def __init__(self, db: Database, rubrics: Rubrics) -> None:
        self._db, self._rubrics = db, rubrics
        self._versions: dict[tuple[int, str, int], RubricVersion] = {}

    async def pages(self, one: Claimed, judge: JudgeVersion) -> AsyncIterator[list[Sent]]:
        """All requests of the batch, in an order of their own that is always the same.

        Raises
        ------
        Forgotten
            If the texts are not kept any more.
        """
        after, texts = (-1, -1, -1), (-1, 0, list[tuple[int, GradeRequest]]())
        while page := await surely(partial(requests_of, self._db, one.id, after, _PAGE)):
            seats = await surely(partial(asked_seats, self._db, page))
            found = []
            for request in page:
                if request.chunk != texts[0]:
                    chunk = await surely(partial(chunk_of, self._db, one.batch_id, request.chunk))
                    if chunk.requests is None:
                        raise Forgotten
                    texts = (request.chunk, chunk.first, list(unpack(chunk.requests)))
                _, asked = texts[2][request.number - texts[1]]
                rubric = await self._rubric(one, asked.rubric)
                drawn = seats[request.grade_id, request.position]
                seat = drawn.seat(judge)
                question = question_of(rubric.rubric, asked.item, drawn.seed, seat)
                found.append(Sent(request, drawn.assigned(one.project.id, rubric), seat, question))
            yield found
            after = (page[-1].chunk, page[-1].grade_id, page[-1].position)

    async def _rubric(self, one: Claimed, name: str) -> RubricVersion:
        key = (one.project.id, name, one.options.rubrics[name])
        if key not in self._versions:
            self._versions[key] = await surely(partial(self._rubrics.version, one.project, *key[1:]))
        return self._versions[key]
