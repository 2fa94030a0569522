"""One answer (or pair) as the newest calibration of a criterion has it: what each judge gave and what that
was worth, what it came to, and what people said."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.frame import Frame
from app.calibration.prepared import PreparedCalibration
from app.domain.calibration import Calibration
from app.domain.ids import read_id, show_id
from app.domain.problems import NotFound
from app.reporting.quality_report import Quality
from app.stats.factors import subset_weights
from app.storage.anchor_texts import item_name
from app.storage.item_texts import answers_known, grades_of_answers, load_texts
from app.storage.rubrics import get_rubric

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JudgeSaid:
    """A judge's mean ``value`` over its ``draws``, on the criterion's own scale (pairs: position removed);
    its ``weight`` among the judges of this answer, sizes adding up to 1, None if it has none."""

    judge: str
    family: str
    version: str
    value: float
    draws: int
    weight: float | None


@dataclass(frozen=True, slots=True)
class OneAnswer:
    """Values on the criterion's own scale; pairs from -1 to 1, above 0 for ``system``.

    ``raw`` is the judges' mean, ``held_out`` the calibrated score by a fit that saw no human grade of the
    prompt, ``calibrated`` by the fit on all; None where nobody says anything, or without a calibration.
    ``grade_ids`` are the newest grades of it that were made here.
    """

    answer_id: str
    other_answer_id: str | None
    item_id: int
    item: str
    prompt: str | None
    context: str | None
    reference: str | None
    system: str
    other_system: str | None
    answer: str | None
    other_answer: str | None
    rubric: str
    criterion: str
    pairwise: bool
    calibration_id: str | None
    judges: tuple[JudgeSaid, ...]
    raw: float | None
    calibrated: float | None
    held_out: float | None
    people: float | None
    grades: int
    grade_ids: tuple[str, ...]


async def one_answer(
    quality: Quality,
    project_id: int,
    answer_id: str,
    other_answer_id: str | None,
    *,
    rubric: str,
    criterion: str,
) -> OneAnswer:
    """Look it up.

    Raises
    ------
    NotFound
        If the project has no such answer, rubric or criterion, or the two are no pair of one item.
    """
    version = await get_rubric(quality.db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    if criterion not in {one.name for one in version.rubric.criteria}:
        raise NotFound("criterion", criterion)
    shown = [one for one in (answer_id, other_answer_id) if one is not None]
    ids = [read_id("a", one) for one in shown]
    known = await answers_known(quality.db, project_id, ids)
    for text, key in zip(shown, ids, strict=True):
        if key not in known:
            raise NotFound("answer", text)
    texts = await load_texts(quality.db, ids)
    first, other = texts.answers[ids[0]], texts.answers[ids[1]] if len(ids) > 1 else None
    if other is not None and other.item_id != first.item_id:
        raise NotFound("pair of answers to one item", f"{answer_id}, {other_answer_id}")
    item = texts.items[first.item_id]
    grades = await grades_of_answers(quality.db, project_id, first.item_id, ids)
    ready = await quality.ready(project_id, rubric, criterion)
    told = _Told(None, (), None, None, None, None, 0)
    if ready is not None:
        told = _told(ready.calibration, ready.units.frame, ids)
    return OneAnswer(
        answer_id=answer_id,
        other_answer_id=other_answer_id,
        item_id=first.item_id,
        item=item_name(item.external_id, first.item_id),
        prompt=item.prompt,
        context=item.context,
        reference=item.reference,
        system=first.system,
        other_system=None if other is None else other.system,
        answer=first.text,
        other_answer=None if other is None else other.text,
        rubric=rubric,
        criterion=criterion,
        pairwise=version.rubric.kind.value == "pairwise",
        calibration_id=told.calibration_id,
        judges=told.judges,
        raw=told.raw,
        calibrated=told.calibrated,
        held_out=told.held_out,
        people=told.people,
        grades=told.grades,
        grade_ids=tuple(show_id("g", key) for key in grades),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    calibration_id: str | None
    judges: tuple[JudgeSaid, ...]
    raw: float | None
    calibrated: float | None
    held_out: float | None
    people: float | None
    grades: int


def _told(calibration: Calibration, frame: Frame, ids: list[int]) -> _Told:
    """The answer's row of the frame; a pair may stand there the other way round."""
    shown = show_id("c", calibration.id)
    first, second = ids[0], ids[1] if len(ids) > 1 else -1
    row = np.flatnonzero((frame.answer_id == first) & (frame.other_answer_id == second))
    turn = 1.0
    if not len(row) and second >= 0:
        row, turn = np.flatnonzero((frame.answer_id == second) & (frame.other_answer_id == first)), -1.0
    if not len(row):
        return _Told(shown, (), None, None, None, None, 0)
    unit = int(row[0])

    def native(value: float) -> float | None:
        return float(frame.to_native(np.array([turn * value]))[0]) if np.isfinite(value) else None

    cells = np.flatnonzero(frame.cell_unit == unit)
    judges, draws = frame.cell_judge[cells].astype(np.int64), frame.cell_draws[cells].astype(np.int64)
    weights = _weights(calibration, judges, draws)
    about = calibration.model.get("judges", ())
    said = tuple(
        JudgeSaid(
            judge=frame.judges[judge],
            family=frame.judge_families[judge],
            version=about[judge]["version"] if judge < len(about) else "",
            value=native(float(frame.cell_value[cell])) or 0.0,
            draws=int(count),
            weight=weights.get(int(judge)),
        )
        for cell, judge, count in zip(cells, judges, draws, strict=True)
    )
    return _Told(
        shown,
        said,
        native(float(frame.raw_mean[unit])),
        native(float(frame.full_fit[unit])),
        native(float(frame.out_of_fold[unit])),
        native(float(frame.human_mean[unit])),
        int(frame.n_human[unit]),
    )


def _weights(calibration: Calibration, judges: Ints, draws: Ints) -> dict[int, float]:
    """Of the judges that carry weight, sizes adding up to 1."""
    if not calibration.model.get("judges"):
        return {}
    prepared = PreparedCalibration(calibration_id=show_id("c", calibration.id), model=calibration.model)
    if prepared.factor is None or len(judges) == 0 or int(judges.max()) >= len(prepared.factor.used):
        return {}
    used = prepared.factor.used[judges]
    if not used.any():
        return {}
    weights, _ = subset_weights(prepared.factor, judges[used], draws[used])
    total = float(np.abs(weights).sum()) or 1.0
    return {int(code): float(weight) / total for code, weight in zip(judges[used], weights, strict=True)}
