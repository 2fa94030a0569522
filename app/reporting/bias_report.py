"""The bias report of one judge: what its latest calibrations say of it, criterion by criterion."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.calibration import Calibration, EffectStatus, RunStatus
from app.domain.ids import show_id
from app.domain.problems import NotFound
from app.domain.rubrics import RubricVersion
from app.reporting.bias_words import NO_EFFECT, check_sentence, group_sentence, sentence
from app.reporting.panel_worth import panel_sentence
from app.stats.panel_worth import PanelWorth, Worth
from app.storage.calibrations import newest_told
from app.storage.database import Database
from app.storage.judge_versions import list_judge_versions
from app.storage.rubrics import get_rubric


@dataclass(frozen=True, slots=True)
class ToldEffect:
    """One bias with what it means.

    ``estimate``, ``interval`` and ``std_error`` are in ``unit``, None unless ``status`` is identified.
    ``n`` counts the answers or pairs behind it. ``no_effect`` is the value an unbiased judge would have,
    None where there is no such value (a rate, an agreement). ``p_value`` of that value; ``p_adjusted`` for
    all effects of the report; ``flagged``: it stands out among them. ``p_randomisation``: of position, from
    redrawn orders. ``compared_with``: the version before, for what changed since.
    """

    name: str
    estimate: float | None
    interval: tuple[float, float] | None
    std_error: float | None
    n: int
    unit: str | None
    status: str
    sentence: str
    no_effect: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    flagged: bool | None = None
    p_randomisation: float | None = None
    compared_with: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Multiplicity:
    """How the p-values of a report were adjusted for each other.

    ``method``, over how many ``effects``, and how many of them were ``flagged``.
    """

    method: str
    effects: int
    flagged: int


@dataclass(frozen=True, slots=True)
class JudgeVersionBias:
    """One version of the judge under one criterion.

    ``checks`` are asked of grades as ordered categories, where they crowd in few of them; else empty.
    """

    judge_version: str
    family: str
    model: str
    params: str
    prompt_version: str
    simulated: bool
    verdicts: int
    unscored: Mapping[str, int]
    effects: tuple[ToldEffect, ...]
    checks: tuple[ToldEffect, ...]
    systems: tuple[ToldEffect, ...]
    strata: Mapping[str, tuple[ToldEffect, ...]]


@dataclass(frozen=True, slots=True)
class CriterionBias:
    """What the newest calibration of one criterion says of the judge.

    ``status``: calibrated; refused, with ``refusals`` saying why there are no calibrated scores (what needs
    none is told all the same); running or not_calibrated, with nothing to tell. ``versions`` is empty where
    the judge has no verdicts in it. ``level`` is the coverage of every interval in it. ``panel``: n_eff;
    ``panel_worth``: how calibrated scores follow people, None where nothing is calibrated.
    """

    criterion: str
    status: str
    calibration_id: str | None
    calibrated_at: datetime | None
    level: float | None
    panel: ToldEffect | None
    people_agreement: ToldEffect | None
    versions: tuple[JudgeVersionBias, ...]
    multiplicity: Multiplicity | None = None
    refusals: tuple[str, ...] = ()
    panel_worth: ToldEffect | None = None


@dataclass(frozen=True, slots=True)
class BiasReport:
    """Every criterion of a rubric, for one judge; ``family`` is None where no verdict is on record."""

    judge: str
    family: str | None
    rubric: str
    rubric_version: int
    simulated: bool
    criteria: tuple[CriterionBias, ...]


async def bias_report(
    db: Database, project_id: int, judge: str, *, rubric: str, criterion: str | None = None
) -> BiasReport:
    """Read the newest calibrations of ``rubric`` (or of one criterion) for what they say of ``judge``.

    Raises
    ------
    NotFound
        If the project has no such rubric, or the rubric no such criterion.
    """
    version = await get_rubric(db, project_id, rubric)
    if version is None:
        raise NotFound("rubric", rubric)
    known = [c.name for c in version.rubric.criteria]
    if criterion is not None and criterion not in known:
        raise NotFound(f"criterion of {rubric!r} (it has {', '.join(known)}) called", criterion)
    told = [
        await _criterion(db, project_id, judge, version, name)
        for name in ([criterion] if criterion else known)
    ]
    seen = [v for c in told for v in c.versions]
    on_record = [version for _, version in await list_judge_versions(db, project_id, name=judge)]
    known_by = seen or on_record
    return BiasReport(
        judge=judge,
        family=known_by[-1].family if known_by else None,
        rubric=rubric,
        rubric_version=version.version,
        simulated=any(v.simulated for v in known_by),
        criteria=tuple(told),
    )


async def _criterion(
    db: Database, project_id: int, judge: str, version: RubricVersion, name: str
) -> CriterionBias:
    calibration, waiting = await newest_told(db, project_id, rubric=version.rubric.name, criterion=name)
    if calibration is None or "bias" not in calibration.model:
        status = "running" if waiting else "not_calibrated"
        return CriterionBias(name, status, None, None, None, None, None, ())
    bias = calibration.model["bias"]
    mine = [entry for entry in bias["judges"] if entry["name"] == judge]
    return _shown(name, calibration, bias, mine)


def _shown(
    name: str, calibration: Calibration, bias: Mapping[str, Any], mine: list[Mapping[str, Any]]
) -> CriterionBias:
    panel = bias["panel"]
    return CriterionBias(
        criterion=name,
        status="refused" if calibration.status is RunStatus.REFUSED else "calibrated",
        calibration_id=show_id("c", calibration.id),
        calibrated_at=calibration.finished_at,
        level=bias["level"],
        panel=told_effect("n_eff", panel["effective"], _panel_sentence(panel)),
        people_agreement=told_effect(
            "people_agreement", bias["people"]["agreement"], _people_sentence(bias["people"]["agreement"])
        ),
        versions=tuple(_version(entry) for entry in mine),
        multiplicity=Multiplicity(**bias["multiplicity"]) if "multiplicity" in bias else None,
        refusals=refusals_of(calibration),
        panel_worth=_worth(panel.get("worth"), bias["level"]),
    )


def _worth(stored: Mapping[str, Any] | None, level: float) -> ToldEffect | None:
    """None in calibrations from before it was told."""
    if stored is None:
        return None
    worth = PanelWorth(**(dict(stored) | {"status": Worth(stored["status"])}))
    known, words = worth.correlation is not None, panel_sentence(worth, level, within="systems")
    return ToldEffect(
        name="panel_worth",
        estimate=worth.correlation,
        interval=None if worth.interval is None else (worth.interval[0], worth.interval[1]),
        std_error=None,
        n=worth.n,
        unit="correlation" if known else None,
        status=(EffectStatus.IDENTIFIED if known else EffectStatus.INSUFFICIENT_DATA).value,
        sentence=f"{words[:1].upper()}{words[1:]}.",
    )


def refusals_of(calibration: Calibration) -> tuple[str, ...]:
    """Why a run was refused, in sentences without their codes; empty if it was not."""
    if calibration.status is not RunStatus.REFUSED:
        return ()
    return tuple(why.partition(": ")[2] or why for why in calibration.refusals)


def _version(entry: Mapping[str, Any]) -> JudgeVersionBias:
    judge = entry["name"]
    return JudgeVersionBias(
        judge_version=entry["judge_version"],
        family=entry["family"],
        model=entry["model"],
        params=entry["params"],
        prompt_version=entry["prompt_version"],
        simulated=entry["simulated"],
        verdicts=entry["verdicts"],
        unscored=entry["unscored"],
        effects=tuple(
            told_effect(name, told, sentence(name, told, judge)) for name, told in entry["effects"].items()
        ),
        checks=tuple(
            told_effect(name, told, check_sentence(name, told, entry["effects"].get(name), judge))
            for name, told in entry.get("checks", {}).items()
        ),
        systems=_groups(entry["systems"], judge),
        strata={name: _groups(table, judge) for name, table in entry["strata"].items()},
    )


def _groups(table: list[Mapping[str, Any]], judge: str) -> tuple[ToldEffect, ...]:
    return tuple(
        told_effect(told["name"], told, group_sentence(told, judge), no_effect=0.0) for told in table
    )


def told_effect(
    name: str, told: Mapping[str, Any], words: str, *, no_effect: float | None = None
) -> ToldEffect:
    """An effect as it is stored, with its words."""
    return ToldEffect(
        name=name,
        estimate=told["estimate"],
        interval=tuple(told["interval"]) if told["interval"] else None,
        std_error=told["std_error"],
        n=told["n"],
        unit=told["unit"],
        status=told["status"],
        sentence=words,
        no_effect=told.get("no_effect", NO_EFFECT.get(name) if no_effect is None else no_effect),
        p_value=told.get("p_value"),
        p_adjusted=told.get("p_adjusted"),
        flagged=told.get("flagged"),
        p_randomisation=told.get("p_randomisation"),
        compared_with=told.get("compared_with"),
    )


def _panel_sentence(panel: Mapping[str, Any]) -> str:
    told = panel["effective"]
    if told["status"] != "identified":
        return f"How many independent judges a panel is worth cannot be told: {told['why']}."
    if told["interval"][1] >= panel["judges"]:
        return (
            f"{panel['judges']} judges may err independently; they count as at least "
            f"{told['interval'][0]:.1f}."
        )
    return f"{panel['judges']} judges err so much together that they count as {told['estimate']:.1f}."


def _people_sentence(told: Mapping[str, Any]) -> str:
    if told["status"] != "identified":
        return f"How far people agree among themselves cannot be told: {told['why']}."
    return (
        f"Two people agree {told['estimate']:.2f} of the way from chance to always. A judge that knew "
        "what people think on average could agree with one of them more than that."
    )
