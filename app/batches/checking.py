"""Reading a batch's lines: everything that is wrong with any of them, before anything is paid."""

from array import array
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from app.batches.estimate import Estimator
from app.domain.ids import content_id
from app.domain.judging import TooFewFamilies
from app.domain.problems import BadInput, NotFound, Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricVersion
from app.grading.grade import Grading
from app.grading.requests import GradeRequest
from app.grading.rubrics import Rubrics
from app.storage.catalog import items_with_other_prompts
from app.storage.database import Database

MOST_NAMED = 1_000  # problems that an answer lists; all are counted

Line = tuple[int, GradeRequest | Sequence[Problem]]
"""A line's number in its file, and its request or what is wrong with its form."""


@dataclass(slots=True)
class Checker:
    """Checks lines of one project; what it learns gathers in it. Memory per good line: 16 bytes."""

    db: Database
    project: Project
    grading: Grading
    rubrics: Rubrics
    estimator: Estimator
    problems: list[Problem] = field(default_factory=list)
    wordings: Counter[str] = field(default_factory=Counter)
    items: int = 0
    versions: dict[str, RubricVersion] = field(default_factory=dict)
    _named: "array[int]" = field(
        default_factory=lambda: array("q")
    )  # item id, prompt and line of named items
    _bad: int = 0

    @property
    def wrong(self) -> bool:
        """Whether any line has a problem."""
        return bool(self._bad)

    async def check(self, lines: Sequence[Line]) -> list[tuple[int, GradeRequest]]:
        """The good ones of these lines; problems of the others are kept."""
        good: list[tuple[int, GradeRequest]] = []
        for number, request in lines:
            problems = request if isinstance(request, Sequence) else await self._problems(request)
            if problems:
                self._note(number, problems)
            else:
                assert isinstance(request, GradeRequest)  # the other kind has problems
                good.append((number, request))
        await self._against_known_items(good)
        self.items += len(good)
        return good

    def finish(self) -> None:
        """Look for what is wrong between lines.

        Raises
        ------
        BadInput
            With the first `MOST_NAMED` problems of all lines, and all of them counted by wording.
        """
        self._against_each_other()
        if not self.items and not self._bad:
            raise BadInput("there is no request in the file", [])
        if self._bad:
            lines = f"{self._bad:,} line{'s' * (self._bad != 1)}"
            problems = sorted(self.problems, key=lambda problem: problem.row or 0)
            raise BadInput(
                f"{lines} cannot be graded; nothing was paid", problems, dict(self.wordings.most_common(50))
            )

    async def _problems(self, request: GradeRequest) -> Sequence[Problem]:
        version = self.versions.get(request.rubric)
        if version is None:
            try:
                version = await self.rubrics.latest(self.project, request.rubric)
            except NotFound as error:
                return [Problem(str(error), path="rubric", value=request.rubric)]
            self.versions[request.rubric] = version
        try:
            eligible = self.grading.eligible(self.project, version, request, new=True)
            if len(eligible) < request.panel.families:
                raise TooFewFamilies(len(eligible), request.panel.families)
        except BadInput as bad:
            return bad.problems
        except TooFewFamilies as error:
            return [Problem(str(error), path="panel.families", value=request.panel.families)]
        self.estimator.add(request, version, eligible)
        return ()

    async def _against_known_items(self, lines: Sequence[tuple[int, GradeRequest]]) -> None:
        prompts = {r.item.item_id: r.item.prompt for _, r in lines if r.item.item_id is not None}
        if not prompts:
            return
        other = await items_with_other_prompts(self.db, self.project.id, prompts)
        for number, request in lines:
            item_id = request.item.item_id
            if item_id is None:
                continue
            if item_id in other:
                wording = "this item is known with another prompt"
                self._note(number, [Problem(wording, path="item_id", value=item_id)])
            self._named.extend((content_id(item_id), content_id(request.item.prompt), number))

    def _against_each_other(self) -> None:
        named = np.frombuffer(self._named, dtype=np.int64).reshape(-1, 3)
        if not len(named):
            return
        ordered = named[np.lexsort((named[:, 2], named[:, 0]))]
        same_item = ordered[1:, 0] == ordered[:-1, 0]
        clash = same_item & (ordered[1:, 1] != ordered[:-1, 1])
        for line, earlier in zip(ordered[1:][clash, 2], ordered[:-1][clash, 2], strict=True):
            wording = "another line has this item_id with another prompt"
            self._note(int(line), [Problem(wording, path="item_id", value=f"as in line {int(earlier)}")])

    def _note(self, number: int, problems: Sequence[Problem]) -> None:
        self._bad += 1
        for problem in problems:
            self.wordings[problem.problem] += 1
            if len(self.problems) < MOST_NAMED:
                path = None if problem.path is None else problem.path.removeprefix("body.")
                self.problems.append(replace(problem, row=number, path=path))


Lines = AsyncIterator[Sequence[Line]]
"""Blocks of lines, as they come in."""
