"""Ending a batch once a comparison of two systems is decided.

Prompts are graded in a random order, drawn when the batch is made, so that those graded first are a simple
random sample of the batch. A look is taken after each chunk, in the order of chunks: it adds the difference
of the two systems on every prompt to a confidence sequence (`app.stats.betting`), which may be looked at as
often as one likes.

Where panels have two stages the judges of the first are looked at: they are a random part of the panel,
nothing selected them, and all prompts have them.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.batches.lines import pack, unpack
from app.calibration.apply import prepare, score_grade
from app.calibration.prepared import PreparedCalibration
from app.domain.batches import BatchOptions
from app.domain.ids import content_id
from app.domain.judging import Reply, Seat
from app.domain.problems import BadInput, Problem
from app.domain.projects import Project
from app.domain.rubrics import RubricKind, RubricVersion
from app.domain.stopping import ComparisonSoFar, ScoresCompared, StopRule
from app.grading.requests import GradeRequest
from app.stats.betting import BettingSequence, begin, see
from app.stats.difference import Finding
from app.storage.batch_comparisons import DueLook, due_look, record_look
from app.storage.calibrations import get_calibration, latest_calibration_id
from app.storage.database import Database
from app.storage.grades import StoredGrade, load_grades

Floats = NDArray[np.float64]

MOST_LINES = 100_000  # of a batch in random order: its requests are held, compressed, until all are checked
_ROUNDING = 1e-9  # a difference of all prompts that is no larger is none
_FEWEST, _MOST, _LOOKS = 20, 200, 100  # items of a chunk; how many looks are aimed at


def rule_of(options: BatchOptions) -> StopRule | None:
    """The rule in a batch's options."""
    kept = options.more.get("stop_when")
    return None if kept is None else StopRule(**{**kept, "scores": ScoresCompared(kept["scores"])})


def with_rule(options: BatchOptions, rule: StopRule) -> BatchOptions:
    """The inverse of `rule_of`."""
    return replace(options, more={**options.more, "stop_when": asdict(rule)})


class RandomOrder:
    """The lines of a batch, by prompt, until their order is drawn."""

    def __init__(self, rule: StopRule) -> None:
        self._rule, self._lines = rule, 0
        self._prompts: dict[int, list[bytes]] = {}
        self._systems: dict[int, set[str]] = {}
        self._together: set[int] = set()
        self._rubrics: set[str] = set()

    def add(self, lines: Sequence[tuple[int, GradeRequest]]) -> None:
        """Take checked lines in; BadInput if these are too many."""
        named = {self._rule.baseline, self._rule.candidate}
        self._lines += len(lines)
        if self._lines > MOST_LINES:
            problem = Problem(
                f"a batch that may stop early has at most {MOST_LINES:,} lines", path="stop_when"
            )
            raise BadInput("the batch is too large to be graded in random order", [problem])
        for number, request in lines:
            key = content_id(request.item.prompt)
            self._prompts.setdefault(key, []).append(pack([(number, request)]))
            systems = {answer.system for answer in request.item.answers} & named
            if systems:
                self._systems.setdefault(key, set()).update(systems)
                self._rubrics.add(request.rubric)
            if len(systems) == 2:
                self._together.add(key)

    async def settle(
        self, db: Database, project: Project, versions: Mapping[str, RubricVersion], seed: int
    ) -> StopRule:
        """The rule with what follows from the lines; BadInput if they cannot decide it."""
        rule, problems = self._rule, []
        pairs = any(versions[name].rubric.kind is RubricKind.PAIRWISE for name in self._rubrics)
        both = self._together if pairs else [key for key, names in self._systems.items() if len(names) == 2]
        if rule.baseline == rule.candidate:
            problems.append(_problem("must differ from the baseline", "candidate", rule.candidate))
        elif not both:
            wording = f"no prompt has answers of both {rule.baseline!r} and {rule.candidate!r}"
            problems.append(_problem(wording + (" in one request" if pairs else "")))
        if len(self._rubrics) > 1:
            names = ", ".join(sorted(self._rubrics))
            problems.append(_problem(f"the two systems are graded by several rubrics: {names}"))
        if problems:
            raise BadInput("this comparison cannot end the batch", problems)
        rubric = versions[next(iter(self._rubrics))].rubric
        by_name = {criterion.name: criterion for criterion in rubric.criteria}
        wanted = rule.criterion or (rubric.criteria[0].name if len(by_name) == 1 else "")
        if wanted not in by_name:
            wording = f"name one of the rubric's criteria: {', '.join(by_name)}"
            raise BadInput(wording, [_problem(wording, "criterion", rule.criterion)])
        criterion = by_name[wanted]
        calibration = None
        if rule.scores is ScoresCompared.CALIBRATED:
            calibration = await latest_calibration_id(db, project.id, rubric=rubric.name, criterion=wanted)
            if calibration is None:
                wording = f"{wanted} has no calibration: compare raw scores, or calibrate first"
                raise BadInput(wording, [_problem(wording, "scores", rule.scores.value)])
        sign = 1.0 if criterion.higher_is_better else -1.0
        points = 1.0 if pairs else sign * (criterion.scale.high - criterion.scale.low)
        if rule.margin >= abs(points):
            wording = f"must be less than {abs(points):g}: no difference can be larger than that"
            raise BadInput("this comparison cannot end the batch", [_problem(wording, "margin", rule.margin)])
        return replace(
            rule, rubric=rubric.name, criterion=wanted, prompts=len(both), pairs=pairs, points=points,
            seed=seed, calibration_id=calibration,
        )  # fmt: skip

    def chunks(self, seed: int) -> Iterator[list[tuple[int, GradeRequest]]]:
        """All lines, prompts in random order and never parted, in chunks; they are forgotten as they come."""
        size = min(max(self._lines // _LOOKS, _FEWEST), _MOST)
        order = list(self._prompts)
        Random(seed).shuffle(order)
        chunk: list[tuple[int, GradeRequest]] = []
        for key in order:
            chunk += [line for packed in self._prompts.pop(key) for line in unpack(packed)]
            if len(chunk) >= size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


def first_state(rule: StopRule) -> bytes:
    """The confidence sequence before any look, as stored."""
    total = rule.prompts if rule.population == "these_units" else None
    return _to_bytes(begin(level=rule.level, total=total))


class Looks:
    """Looks at comparisons of batches, chunk by chunk; any number of processes may."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db, self._now = db, now
        self._prepared: dict[int, PreparedCalibration | None] = {}

    async def look(self, batch_id: int) -> bool:
        """Look at all chunks that are done and next in order; returns whether that decided the comparison."""
        while (due := await due_look(self._db, batch_id)) is not None:
            rule = rule_of(due.options)
            assert rule is not None  # who has a comparison has its rule
            stored = await load_grades(self._db, due.project_id, [g for g in due.grades if g is not None])
            differences = _differences(rule, due, stored, await self._calibration(due.project_id, rule))
            sequence = see(_from_bytes(due.state), np.clip((1.0 + differences) / 2.0, 0.0, 1.0))
            shown = so_far(rule, sequence)
            reason = None if shown.finding == "inconclusive" else _words(rule, shown)
            state = _to_bytes(sequence)
            recorded = await record_look(
                self._db, due, state=state, shown=shown, reason=reason, now=self._now()
            )
            if recorded and reason is not None:
                return True
        return False

    async def _calibration(self, project_id: int, rule: StopRule) -> PreparedCalibration | None:
        key = rule.calibration_id
        if key is None:
            return None
        if key not in self._prepared:
            found = await get_calibration(self._db, project_id, key)
            self._prepared[key] = None if found is None else prepare(found)
        return self._prepared[key]


def so_far(rule: StopRule, sequence: BettingSequence) -> ComparisonSoFar:
    """How the comparison stands, and what may be claimed.

    A difference shown to be within the margin is `equivalent` even if it is shown to be there.
    """
    low, high = (2.0 * end - 1.0 for end in sequence.interval())
    mean = None if sequence.mean is None else 2.0 * sequence.mean - 1.0
    margin = rule.margin / abs(rule.points)
    finding = Finding.INCONCLUSIVE
    if margin > 0 and -margin < low and high < margin:
        finding = Finding.EQUIVALENT
    elif low > _ROUNDING or high < -_ROUNDING:
        finding = Finding.BETTER if low > 0 else Finding.WORSE
    ends = sorted((low * rule.points, high * rule.points))
    return ComparisonSoFar(
        seen=sequence.seen, missing=sequence.missing, difference=None if mean is None else mean * rule.points,
        interval=(ends[0], ends[1]), finding=finding.value,
    )  # fmt: skip


def _words(rule: StopRule, shown: ComparisonSoFar) -> str:
    assert shown.interval is not None  # there was a look
    what = {
        "better": f"{rule.candidate} is better than {rule.baseline}",
        "worse": f"{rule.candidate} is worse than {rule.baseline}",
        "equivalent": f"{rule.candidate} and {rule.baseline} are within {rule.margin:g} of each other",
    }[shown.finding]
    low, high = shown.interval
    return (
        f"decided: {what} on {rule.criterion} ({low:+.3f} to {high:+.3f} at {rule.level:.0%}) after "
        f"{shown.seen:,} of {rule.prompts:,} prompts"
    )


def _differences(
    rule: StopRule, due: DueLook, stored: Sequence[StoredGrade], calibration: PreparedCalibration | None
) -> Floats:
    """Candidate minus baseline, of each prompt of the chunk that has both, from -1 to 1; NaN where a score is
    missing."""
    by_id = {grade.assigned.id: grade for grade in stored}
    prompts: dict[str, list[tuple[GradeRequest, StoredGrade | None]]] = {}
    for (_, request), grade_id in zip(unpack(due.requests), due.grades, strict=True):
        grade = None if grade_id is None else by_id.get(grade_id)
        prompts.setdefault(request.item.prompt, []).append((request, grade))
    found = (_difference(rule, lines, calibration) for lines in prompts.values())
    return np.array([one for one in found if one is not None], np.float64)


def _difference(
    rule: StopRule,
    lines: Sequence[tuple[GradeRequest, StoredGrade | None]],
    calibration: PreparedCalibration | None,
) -> float | None:
    """Of one prompt; None if it does not have both systems."""
    sides: dict[str, list[float]] = {rule.baseline: [], rule.candidate: []}
    preferences: list[float] = []
    for request, grade in lines:
        if request.rubric != rule.rubric:
            continue
        systems = [answer.system for answer in request.item.answers]
        if rule.pairs:
            if set(systems) == set(sides):
                sign = 1.0 if systems[0] == rule.candidate else -1.0
                preferences.append(sign * _score(rule, grade, 0, calibration))
            continue
        for place, system in enumerate(systems):
            if system in sides:
                sides[system].append(_score(rule, grade, place, calibration))
    if preferences:
        return float(np.mean(preferences))
    if not all(sides.values()):
        return None
    return float((np.mean(sides[rule.candidate]) - np.mean(sides[rule.baseline])) / rule.points)


def _score(
    rule: StopRule, grade: StoredGrade | None, place: int, calibration: PreparedCalibration | None
) -> float:
    """One answer's score by the judges of the first stage, on the criterion's own scale; NaN without any."""
    assert rule.criterion is not None  # settled when the batch was made
    said = [] if grade is None else _first_stage(grade)
    if grade is None or not said:
        return float("nan")
    if calibration is not None:
        rubric = grade.assigned.rubric
        score = score_grade(calibration, rubric, rule.criterion, grade.item, said)[place].score
        return float("nan") if score is None else score
    values = [
        score.value
        for _, reply in said
        for score in reply.scores
        if score.criterion == rule.criterion and score.answer == place
    ]
    return float(np.mean(values)) if values else float("nan")


def _first_stage(grade: StoredGrade) -> list[tuple[Seat, Reply]]:
    second = grade.assignment.second
    return [
        (seat, grade.replies[seat.position])
        for seat in grade.assignment.seats
        if seat.position in grade.replies
        and grade.replies[seat.position].unscored is None
        and (second is None or seat.position < second.position)
    ]


def _problem(wording: str, field: str | None = None, value: object = None) -> Problem:
    return Problem(wording, path="stop_when" if field is None else f"stop_when.{field}", value=value)


def _to_bytes(sequence: BettingSequence) -> bytes:
    buffer = io.BytesIO()
    held: dict[str, Any] = {name: value for name, value in asdict(sequence).items() if value is not None}
    np.savez(buffer, **held)
    return buffer.getvalue()


def _from_bytes(raw: bytes) -> BettingSequence:
    with np.load(io.BytesIO(raw), allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    return BettingSequence(
        level=float(arrays["level"]), total=int(arrays["total"]) if "total" in arrays else None,
        seen=int(arrays["seen"]), missing=int(arrays["missing"]), value_sum=float(arrays["value_sum"]),
        square_sum=float(arrays["square_sum"]), candidates=arrays["candidates"],
        log_plus=arrays["log_plus"], log_minus=arrays["log_minus"], low=float(arrays["low"]),
        high=float(arrays["high"]),
    )  # fmt: skip
