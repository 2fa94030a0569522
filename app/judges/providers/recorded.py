"""A judge that says again what it once said: verdicts recorded elsewhere, read from a file."""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import TextIO

from app.domain.judging import JudgeVersion, Reply, Score, Unscored, UnscoredReason, canonical_params
from app.domain.problems import BadInput, Problem
from app.domain.rubrics import Criterion, RubricKind
from app.judges.config import JudgeConfig
from app.judges.judge import Permit, Question

_PARAMS = ("file", "judge", "judge_params")
_PREFERENCES = {"a": 1.0, "b": -1.0, "tie": 0.0}
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded verdict, as written: a score or label, A, B or tie, or the reason why there is none."""

    score: str = ""
    verdict: str = ""
    unscored: str = ""


Key = tuple[str, tuple[str, ...], str]
"""(item_id, systems in the order shown, criterion)"""

Recordings = Mapping[Key, Mapping[int, Recording]]
"""Every recorded verdict of one judge, by draw (the number of the repeat, from 1)."""


class RecordedJudge:
    """Replays `Recordings`; what was never recorded is an honest unscored seat.

    Where a question was recorded several times, the question's seed chooses among the draws.
    """

    def __init__(self, version: JudgeVersion, recordings: Recordings) -> None:
        self._version, self._recordings = version, recordings

    @property
    def version(self) -> JudgeVersion:
        """The identity under which the same verdicts are imported."""
        return self._version

    async def judge(
        self,
        question: Question,
        *,
        deadline: float,
        max_cost_usd: float | None = None,
        permit: Permit | None = None,
    ) -> Reply:
        """The recorded verdict on every criterion and answer, or why there is none."""
        if permit is not None:
            await permit.begin(0.0)
            permit.ended(0.0, 0.0, 0.0)
        scores: list[Score] = []
        for criterion in question.rubric.criteria:
            for answer, systems in _lookups(question):
                value = self._value(question, criterion, systems)
                if isinstance(value, Unscored):
                    return Reply(unscored=value)
                sign = -1.0 if question.rubric.kind is RubricKind.PAIRWISE and question.order[0] else 1.0
                scores.append(Score(criterion.name, answer, sign * value + 0.0))
        return Reply(scores=tuple(scores), cached=True)

    def _value(self, question: Question, criterion: Criterion, systems: tuple[str, ...]) -> float | Unscored:
        asked = f"{criterion.name!r} of item {question.item_id!r} by {' and '.join(map(repr, systems))}"
        draws = self._recordings.get((question.item_id or "", systems, criterion.name))
        if not draws:
            return Unscored(UnscoredReason.PROVIDER_ERROR, f"no recorded verdict for {asked}")
        recording = draws[sorted(draws)[question.seed % len(draws)]]
        if recording.unscored:
            return Unscored(_reason(recording.unscored), f"recorded as unscored: {recording.unscored}")
        if question.rubric.kind is RubricKind.PAIRWISE:
            preference = _PREFERENCES.get(recording.verdict.casefold())
            if preference is None:
                return Unscored(UnscoredReason.UNPARSABLE, f"the record holds no verdict for {asked}")
            return preference
        return _score(recording, criterion, asked)


def recorded_judge(config: JudgeConfig) -> RecordedJudge:
    """The judge whose verdicts stand in the CSV or JSON Lines file ``params.file`` (either may be gzipped).

    Columns as in the import of verdicts: ``item_id``, ``system`` or ``system_a`` and ``system_b`` in the
    order shown, ``criterion``, ``judge``, ``score`` or ``verdict``, and where there are any ``draw``,
    ``judge_params`` and ``unscored``. ``params.judge`` is the judge's name in the file, if it has another
    there; ``params.judge_params`` chooses among several settings of it.

    Raises
    ------
    BadInput
        If the parameters, the file or its rows are wrong.
    """
    params = config.param_values()
    problems = [
        Problem(f"not a parameter of a recorded judge; there are {', '.join(_PARAMS)}", f"params.{key}")
        for key in params
        if key not in _PARAMS
    ]
    problems += [
        Problem("must be a text", f"params.{key}", value=params[key])
        for key in _PARAMS
        if key in params and not isinstance(params[key], str)
    ]
    if "file" not in params:
        problems.append(Problem("a recorded judge needs the file that holds its verdicts", "params.file"))
    if problems:
        raise BadInput(f"the parameters of {config.name!r} are wrong", problems)
    path = Path(config.folder) / params["file"]
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        problem = Problem(f"cannot be read: {error.strerror}", "params.file", value=str(path))
        raise BadInput(f"the verdicts of {config.name!r} cannot be read", [problem]) from None
    by_judge = read_recordings(path, changed)
    settings = by_judge.get(params.get("judge", config.name), {})
    chosen = str(params.get("judge_params", next(iter(settings)) if len(settings) == 1 else ""))
    if chosen not in settings:
        raise BadInput(f"{config.name!r} has no verdicts", [_no_such(config.name, settings, by_judge)])
    try:
        params_of_record = canonical_params(chosen)
    except ValueError:
        problem = Problem("begins like JSON but is not", "params.judge_params", value=chosen)
        raise BadInput(f"the settings of {config.name!r} cannot be read", [problem]) from None
    version = JudgeVersion(config.family, config.name, config.model, params_of_record)
    return RecordedJudge(version, settings[chosen])


def _no_such(name: str, settings: Mapping[str, Recordings], by_judge: Mapping[str, object]) -> Problem:
    if settings:
        return Problem(f"choose one of its settings: {', '.join(sorted(settings))}", "params.judge_params")
    return Problem(f"the file has no judge {name!r}; it has {', '.join(sorted(by_judge))}", "params.judge")


@lru_cache(maxsize=4)
def read_recordings(path: Path, changed: int) -> Mapping[str, Mapping[str, Recordings]]:
    """Recordings by judge and its settings; ``changed`` (time of the last change) keeps the cache honest.

    Raises
    ------
    BadInput
        If rows lack what names a verdict, or contradict each other; the first 20 are named.
    """
    by_judge: dict[str, dict[str, dict[Key, dict[int, Recording]]]] = {}
    problems: list[Problem] = []
    try:
        for row, values in enumerate(_rows(path), start=1):
            problem = _add(by_judge, values, row)
            if problem is not None:
                problems.append(problem)
                if len(problems) == _MOST_PROBLEMS:
                    break
    except (OSError, EOFError, ValueError, csv.Error) as error:
        problems.append(Problem(f"the file breaks off or is no CSV or JSON Lines: {error}", "params.file"))
    if problems:
        raise BadInput(f"{path.name} holds rows that are no verdicts", problems)
    return by_judge


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    with _text(path) as lines:
        if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
            for line in lines:
                if line.strip():
                    loaded = json.loads(line)
                    if not isinstance(loaded, dict):
                        raise ValueError("a line is no object")
                    yield {key: "" if value is None else str(value) for key, value in loaded.items()}
        else:
            for record in csv.DictReader(lines):
                yield {key: value or "" for key, value in record.items() if key}


def _text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("rt", encoding="utf-8-sig", newline="")


def _add(
    by_judge: dict[str, dict[str, dict[Key, dict[int, Recording]]]], values: Mapping[str, str], row: int
) -> Problem | None:
    """Take one row in, or say what is wrong with it."""
    systems: tuple[str, ...] = (values.get("system", ""),)
    if values.get("system_a"):
        systems = (values["system_a"], values.get("system_b", ""))
    for column in ("item_id", "criterion", "judge"):
        if not values.get(column):
            return Problem("is missing", row=row, column=column)
    if not all(systems):
        return Problem("is missing", row=row, column="system" if len(systems) == 1 else "system_b")
    draw = values.get("draw") or "1"
    if not draw.isdecimal():
        return Problem("must be a whole number", row=row, column="draw", value=draw)
    recording = Recording(values.get("score", ""), values.get("verdict", ""), values.get("unscored", ""))
    settings = by_judge.setdefault(values["judge"], {}).setdefault(values.get("judge_params") or "{}", {})
    draws = settings.setdefault((values["item_id"], systems, values["criterion"]), {})
    if draws.setdefault(int(draw), recording) != recording:
        return Problem("says otherwise than an earlier row of the same draw", row=row)
    return None


def _lookups(question: Question) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(answer, systems in the order shown) for every verdict that the question asks for."""
    if question.rubric.kind is RubricKind.PAIRWISE:
        yield 0, tuple(question.answers[index].system for index in question.order)
    else:
        for index in question.order:
            yield index, (question.answers[index].system,)


def _score(recording: Recording, criterion: Criterion, asked: str) -> float | Unscored:
    """A recorded score; means of repeats may lie between the steps of the scale."""
    written, scale = recording.score.strip(), criterion.scale
    if not written:
        return Unscored(UnscoredReason.UNPARSABLE, f"the record holds no score for {asked}")
    if written in scale.labels:
        return float(scale.labels.index(written) + 1)
    try:
        value = float(written)
    except ValueError:
        return Unscored(UnscoredReason.UNPARSABLE, f"the recorded score {written[:60]!r} is no number")
    if not isfinite(value) or not scale.holds(value):
        return Unscored(UnscoredReason.OUT_OF_RANGE, f"the recorded score {written[:60]} is off the scale")
    return value


def _reason(written: str) -> UnscoredReason:
    """The reason recorded, if it is one of ours; what other tools call it stays in the detail."""
    folded = written.strip().casefold()
    return UnscoredReason(folded) if folded in set(UnscoredReason) else UnscoredReason.PROVIDER_ERROR
