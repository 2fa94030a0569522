"""One judge beyond its biases: whether its scores mean what they say, what they leave open, what it adds to
the panel, and examples of each bias; as the newest calibration of a criterion has them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.calibration import RunStatus
from app.domain.ids import show_id
from app.domain.problems import NotFound
from app.reporting.bias_report import ToldEffect, refusals_of, told_effect
from app.reporting.detail_words import (
    adds_sentence,
    example_sentence,
    gap_sentence,
    residual_sentence,
    slope_sentence,
)
from app.reporting.panel_weights import panel_weights
from app.storage.anchor_texts import item_name
from app.storage.calibrations import newest_told
from app.storage.database import Database
from app.storage.item_texts import Texts, load_texts
from app.storage.rubrics import get_rubric

EXCERPT = 300  # characters of a text that an example shows


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Answers with scores from ``low`` to ``high``, on average ``score``; ``people`` is their mean human
    grade, with an ``interval`` where ``status`` is identified. All on the criterion's own scale."""

    low: float
    high: float
    score: float
    people: float
    interval: tuple[float, float] | None
    n: int
    status: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """People's grades by bins of a score; their slope on it, and their mean distance from it."""

    slope: ToldEffect
    gap: ToldEffect
    bins: tuple[ScoreBin, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """People's grades less the judge's calibrated score, in one ``group`` of ``by`` (system or a stratum)."""

    by: str
    group: str
    effect: ToldEffect


@dataclass(frozen=True, slots=True)
class PanelPart:
    """What a judge adds to the panel: ``effect`` is the gain of held-out R^2, from ``r2_without`` to
    ``r2_with``; mean widths of intervals in points; ``weight`` among all judges, None where it has none."""

    effect: ToldEffect
    r2_with: float | None
    r2_without: float | None
    width_with: float | None
    width_without: float | None
    weight: float | None


@dataclass(frozen=True, slots=True)
class Example:
    """An answer (or pair) that shows the bias ``effect``; texts are cut to `EXCERPT` characters.

    ``judge`` and ``people`` are on the criterion's own scale, for pairs signed for ``system``.
    """

    effect: str
    answer_id: str
    other_answer_id: str | None
    item: str
    system: str
    other_system: str | None
    prompt: str | None
    answer: str | None
    other_answer: str | None
    judge: float | None
    people: float | None
    grades: int
    words: float | None
    other_words: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """One version of a judge under one criterion."""

    judge_version: str
    model: str
    calibrated: Diagram
    as_given: Diagram
    residuals: tuple[Residual, ...]
    part: PanelPart
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class JudgeDetails:
    """Versions of ``judge`` in the newest calibration of a criterion, the newest last.

    ``status``: calibrated, refused (``refusals`` say why), running or not_calibrated. ``scale`` of scores:
    the criterion's own, for pairs from -1 to 1.
    """

    judge: str
    rubric: str
    criterion: str
    pairwise: bool
    scale: tuple[float, float]
    status: str
    refusals: tuple[str, ...]
    calibration_id: str | None
    calibrated_at: datetime | None
    level: float | None
    versions: tuple[VersionDetails, ...]


async def judge_details(
    db: Database, project_id: int, judge: str, *, rubric: str, criterion: str, examples: bool = True
) -> JudgeDetails:
    """Read what the newest calibration of the criterion has; without ``examples`` no text is looked up.

    Raises
    ------
    NotFound
        If the project has no such rubric, or the rubric no such criterion.
    """
    version = await get_rubric(db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    content = next((one for one in version.rubric.criteria if one.name == criterion), None)
    if content is None:
        known = ", ".join(one.name for one in version.rubric.criteria)
        raise NotFound(f"criterion of {rubric!r} (it has {known}) called", criterion)
    pairwise = version.rubric.kind.value == "pairwise"
    scale = (-1.0, 1.0) if pairwise else (content.scale.low, content.scale.high)
    run, waiting = await newest_told(db, project_id, rubric=rubric, criterion=criterion)
    about: dict[str, Any] = {
        "judge": judge, "rubric": rubric, "criterion": criterion, "pairwise": pairwise, "scale": scale,
    }  # fmt: skip
    if run is None or "judge_details" not in run.model:
        status = "running" if waiting else "not_calibrated"
        return JudgeDetails(
            **about,
            status=status,
            refusals=(),
            calibration_id=None,
            calibrated_at=None,
            level=None,
            versions=(),
        )
    models = {
        one["judge_version"]: one["model"] for one in run.model["bias"]["judges"] if one["name"] == judge
    }
    mine = [one for one in run.model["judge_details"] if one["judge_version"] in models]
    ids = list(_answer_ids(mine)) if examples else []
    texts = await load_texts(db, ids) if ids else Texts({}, {})
    weights = panel_weights(run)
    return JudgeDetails(
        **about,
        status="refused" if run.status is RunStatus.REFUSED else "calibrated",
        refusals=refusals_of(run),
        calibration_id=show_id("c", run.id),
        calibrated_at=run.finished_at,
        level=run.model["bias"]["level"],
        versions=tuple(
            _version(one, judge, models[one["judge_version"]], weights, texts, pairwise) for one in mine
        ),
    )


def _answer_ids(details: list[Mapping[str, Any]]) -> Iterator[int]:
    for one in details:
        for examples in one["examples"].values():
            for told in examples:
                yield from (int(key) for key in (told["answer_id"], told["other_answer_id"]) if key)


def _version(
    one: Mapping[str, Any],
    judge: str,
    model: str,
    weights: Mapping[str, float],
    texts: Texts,
    pairwise: bool,
) -> VersionDetails:
    reliability, adds = one["reliability"], one["adds"]
    widths = {key: adds[key] for key in ("r2_with", "r2_without", "width_with", "width_without")}
    return VersionDetails(
        judge_version=one["judge_version"],
        model=model,
        calibrated=_diagram(reliability["calibrated"], "its calibrated score"),
        as_given=_diagram(reliability["as_given"], "what it gives"),
        residuals=tuple(
            Residual(
                row["by"],
                row["name"],
                told_effect(row["name"], row, residual_sentence(row, pairwise)),
            )
            for row in one["residuals"]
        ),
        part=PanelPart(
            effect=told_effect("adds", adds, adds_sentence(adds, judge)),
            weight=weights.get(one["judge_version"]),
            **widths,
        ),
        examples=tuple(
            example
            for effect, examples in one["examples"].items()
            for told in examples
            if (example := _example(effect, told, judge, texts)) is not None
        ),
    )


def _diagram(told: Mapping[str, Any], what: str) -> Diagram:
    return Diagram(
        slope=told_effect("slope", told["slope"], slope_sentence(told["slope"], what)),
        gap=told_effect("gap", told["gap"], gap_sentence(told["gap"], what)),
        bins=tuple(
            ScoreBin(
                low=one["low"],
                high=one["high"],
                score=one["score"],
                people=one["people"],
                interval=tuple(one["interval"]) if one["interval"] else None,
                n=one["n"],
                status=one["status"],
            )
            for one in told["bins"]
        ),
    )


def _example(effect: str, told: Mapping[str, Any], judge: str, texts: Texts) -> Example | None:
    """None where texts were not asked for."""
    first = texts.answers.get(int(told["answer_id"]))
    if first is None:
        return None
    second = texts.answers.get(int(told["other_answer_id"])) if told["other_answer_id"] else None
    item = texts.items[first.item_id]
    return Example(
        effect=effect,
        answer_id=show_id("a", int(told["answer_id"])),
        other_answer_id=None if second is None else show_id("a", int(told["other_answer_id"])),
        item=item_name(item.external_id, first.item_id),
        system=first.system,
        other_system=None if second is None else second.system,
        prompt=_cut(item.prompt),
        answer=_cut(first.text),
        other_answer=None if second is None else _cut(second.text),
        judge=told["judge"],
        people=told["people"],
        grades=told["grades"],
        words=told["words"],
        other_words=told["other_words"],
        sentence=example_sentence(told, judge, first.system, None if second is None else second.system),
    )


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= EXCERPT:
        return text
    return text[:EXCERPT].rstrip() + "…"
