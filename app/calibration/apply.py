"""Calibrated scores for what judges just said, by the newest calibration of each criterion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.calibration.fit import LEVEL
from app.calibration.prepared import PreparedCalibration, Reading
from app.domain.calibration import CalibratedScore, Calibration, RunStatus, ScoreStatus
from app.domain.ids import show_id
from app.domain.items import Item
from app.domain.judging import Reply, Score, Seat
from app.domain.rubrics import RubricKind, RubricVersion
from app.storage import calibrations
from app.storage.database import Database

_NEVER = "this criterion has not been calibrated: the raw panel is all there is"


def prepare(calibration: Calibration) -> PreparedCalibration | None:
    """A stored calibration made ready; None if it holds no model (failed, or from before there was a fit)."""
    if calibration.status not in (RunStatus.DONE, RunStatus.REFUSED) or not calibration.model:
        return None
    return PreparedCalibration(calibration_id=show_id("c", calibration.id), model=calibration.model)


class CalibratedScores:
    """Turns the replies of a panel into calibrated scores, per criterion and answer.

    The newest calibration of each criterion is kept prepared, and looked for again once it is older than
    ``fresh_s`` seconds on ``clock`` (a monotonic one), or after `forget`.
    """

    def __init__(self, db: Database, *, clock: Callable[[], float], fresh_s: float = 2.0) -> None:
        self._db, self._clock, self._fresh_s = db, clock, fresh_s
        self._known: dict[tuple[int, str, str], _Known] = {}

    async def __call__(
        self, project_id: int, rubric: RubricVersion, item: Item, replies: Sequence[tuple[Seat, Reply]]
    ) -> Mapping[str, Sequence[CalibratedScore]]:
        """One score per answer for each criterion (one in all for a pair, for the caller's first answer)."""
        out = {}
        for criterion in rubric.rubric.criteria:
            prepared = await self._prepared(project_id, rubric.rubric.name, criterion.name)
            out[criterion.name] = score_grade(prepared, rubric, criterion.name, item, replies)
        return out

    def forget(self, project_id: int) -> None:
        """Look again for the project's calibrations: one has just been stored."""
        for key in [key for key in self._known if key[0] == project_id]:
            del self._known[key]

    async def _prepared(self, project_id: int, rubric: str, criterion: str) -> PreparedCalibration | None:
        key = (project_id, rubric, criterion)
        known, now = self._known.get(key), self._clock()
        if known is not None:
            if now - known.checked < self._fresh_s:
                return known.prepared
            known.checked = now  # whoever comes while we ask need not ask too
        newest = await calibrations.latest_calibration_id(
            self._db, project_id, rubric=rubric, criterion=criterion
        )
        if newest is not None and known is not None and known.id == newest:
            return known.prepared
        found = await self._load(project_id, rubric, criterion)
        prepared = prepare(found) if found is not None else None
        self._known[key] = _Known(newest, now, prepared)
        return prepared

    async def _load(self, project_id: int, rubric: str, criterion: str) -> Calibration | None:
        """The newest done calibration; without any the newest refused one, which says what is missing."""
        found = await calibrations.latest_calibration(
            self._db, project_id, rubric=rubric, criterion=criterion
        )
        if found is not None:
            return found
        page = await calibrations.list_calibrations(
            self._db, project_id, rubric=rubric, criterion=criterion, limit=20
        )
        refused = next((one for one in page.items if one.status is RunStatus.REFUSED), None)
        return (
            None if refused is None else await calibrations.get_calibration(self._db, project_id, refused.id)
        )


@dataclass(slots=True)
class _Known:
    id: int | None
    checked: float
    prepared: PreparedCalibration | None


def score_grade(
    prepared: PreparedCalibration | None,
    rubric: RubricVersion,
    criterion: str,
    item: Item,
    replies: Sequence[tuple[Seat, Reply]],
) -> list[CalibratedScore]:
    """Calibrated scores of one criterion, one per answer (one in all for a pair); pure."""
    pair = rubric.rubric.kind is RubricKind.PAIRWISE
    out = []
    for k in range(1 if pair else len(item.answers)):
        readings = [reading for _, reading in readings_of(criterion, k, replies, pair)]
        if prepared is None:
            out.append(CalibratedScore(None, None, LEVEL, None, ScoreStatus.JUDGE_RELATIVE, (_NEVER,)))
            continue
        answer, other = item.answers[k], item.answers[1] if pair else None
        out.append(
            prepared.score(
                readings,
                system=answer.system,
                other_system=other.system if other else None,
                words=len(answer.text.split()),
                other_words=len(other.text.split()) if other else None,
                rubric_version=rubric.version,
            )
        )
    return out


def readings_of(
    criterion: str, answer: int, replies: Sequence[tuple[Seat, Reply]], pair: bool
) -> list[tuple[Seat, Reading]]:
    """What the seats said of one answer (or the pair) on a criterion."""
    return [
        (seat, _reading(seat, score, pair))
        for seat, reply in replies
        for score in reply.scores
        if score.criterion == criterion and score.answer == answer
    ]


def _reading(seat: Seat, score: Score, pair: bool) -> Reading:
    shown = 0 if not pair else 1 if seat.order[0] == 0 else -1
    return Reading(seat.judge, score.value, score.expected, shown)
