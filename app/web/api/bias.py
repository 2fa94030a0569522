"""GET /judges/{name}/bias."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from app.access.keys import Caller
from app.domain.problems import NotFound
from app.domain.projects import Scope
from app.reporting.bias_report import CriterionBias, JudgeVersionBias, ToldEffect, bias_report
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["judges"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]

EFFECT = {
    "name": "severity",
    "estimate": 0.31,
    "interval": [0.22, 0.4],
    "std_error": 0.045,
    "n": 240,
    "unit": "points",
    "status": "identified",
    "sentence": "gpt-x grades 0.31 points lower than people do, on the same answers.",
    "no_effect": 0.0,
    "p_value": 0.00001,
    "p_adjusted": 0.0002,
    "flagged": True,
    "p_randomisation": None,
    "compared_with": None,
}


class PredecessorOut(Answered):
    """The version of the judge that came before."""

    name: str = Field(description="Its name.", examples=["gpt-x-0301"])
    model: str = Field(description="The model asked.", examples=["gpt-x-2026-03"])
    params: str = Field(description="Its parameters, as canonical JSON.", examples=['{"temperature":0}'])
    prompt_version: str = Field(description="Version of the judge's prompt.", examples=["v1"])
    judge_version: str = Field(description="Digest of the version.", examples=["0f3a9c12be77"])


class MultiplicityOut(Answered):
    """How p-values were adjusted for each other."""

    method: str = Field(description="The method.", examples=["benjamini-hochberg"])
    effects: int = Field(description="Effects that were tested: all judges, systems, strata.", examples=[84])
    flagged: int = Field(description="How many of them stand out.", examples=[12])


class EffectOut(Answered):
    """One bias, relative to people, with its interval and what it means."""

    name: str = Field(
        description="Which effect; for systems and strata, the name of the group.", examples=["severity"]
    )
    estimate: float | None = Field(description="In the unit named; null unless identified.", examples=[0.31])
    interval: tuple[float, float] | None = Field(
        description="Prompt-clustered t interval; null unless identified.", examples=[[0.22, 0.4]]
    )
    std_error: float | None = Field(description="Standard error in the same unit.", examples=[0.045])
    n: int = Field(description="Answers (or pairs) behind the estimate.", examples=[240])
    unit: str | None = Field(
        description="Unit of the estimate: points of the criterion's scale, a probability, a slope, ...",
        examples=["points"],
    )
    status: str = Field(
        description="identified, not_identified (the design cannot tell it) or insufficient_data.",
        examples=["identified"],
    )
    sentence: str = Field(
        description="What it means, in one sentence.",
        examples=["gpt-x grades 0.31 points lower than people do, on the same answers."],
    )
    no_effect: float | None = Field(
        description="The value that an unbiased judge would have; null where there is none.", examples=[0.0]
    )
    p_value: float | None = Field(
        description="Two-sided p of `no_effect`, by the interval's own t; null where there is no such value.",
        examples=[0.00001],
    )
    p_adjusted: float | None = Field(
        description="The p-value adjusted for all effects of this criterion's report, over all judges, "
        "systems and strata (Benjamini and Hochberg).",
        examples=[0.0002],
    )
    flagged: bool | None = Field(
        description="Whether it stands out among all effects of the report: among the flagged ones at most "
        "1 - level are expected to be there by chance alone. Null where nothing is tested.",
        examples=[True],
    )
    p_randomisation: float | None = Field(
        description="Position only: the share of redrawn orders with at least as large an effect, from a "
        "test that assumes nothing but that orders were drawn at random.",
        examples=[0.0005],
    )
    compared_with: PredecessorOut | None = Field(
        description="What changed since a version: that version. Null for every other effect.",
        examples=[None],
    )


class VersionOut(Answered):
    """One version of the judge: a model at pinned parameters under a pinned prompt."""

    judge_version: str = Field(description="Digest of the version.", examples=["0f3a9c12be77"])
    family: str = Field(description="The judge's family.", examples=["openai"])
    model: str = Field(description="The model asked.", examples=["gpt-x-2026-05"])
    params: str = Field(description="Its parameters, as canonical JSON.", examples=['{"temperature":0}'])
    prompt_version: str = Field(
        description="Version of the judge's prompt; empty for imports.", examples=["v1"]
    )
    simulated: bool = Field(description="Whether a simulated judge stands behind it.", examples=[False])
    verdicts: int = Field(description="Verdicts of this version in the calibration.", examples=[5120])
    unscored: dict[str, int] = Field(
        description="Verdicts that are missing, by reason.", examples=[{"timeout": 12}]
    )
    effects: list[EffectOut] = Field(description="The biases.", examples=[[EFFECT]])
    checks: list[EffectOut] = Field(
        description="Severity and length once more by an ordinal mixed model with thresholds of the judge's "
        "own, in log odds; only where grades crowd in few categories (two with less than 5%, or more than "
        "half in the best), as means can then mislead.",
        examples=[[]],
    )
    systems: list[EffectOut] = Field(
        description="What the judge adds to each system at equal human grade, compared with what it adds to "
        "the rest; corrected for the noise of people's grades.",
        examples=[[{**EFFECT, "name": "bot-v7"}]],
    )
    strata: dict[str, list[EffectOut]] = Field(
        description="The same per value of each stratum.",
        examples=[{"language": [{**EFFECT, "name": "de"}]}],
    )


class CriterionOut(Answered):
    """What the newest calibration of one criterion says of the judge."""

    criterion: str = Field(description="The criterion.", examples=["helpfulness"])
    status: str = Field(
        description="calibrated; refused (no calibrated scores, but biases that need none are told); running "
        "(a calibration is on its way) or not_calibrated.",
        examples=["calibrated"],
    )
    refusals: list[str] = Field(description="Why the calibration was refused; else empty.", examples=[[]])
    calibration_id: str | None = Field(description="The calibration read.", examples=["c_0c5m2v8g0xkq4"])
    calibrated_at: datetime | None = Field(
        description="When it was finished.", examples=["2026-11-22T10:00:00Z"]
    )
    level: float | None = Field(description="Coverage of every interval here.", examples=[0.95])
    panel: EffectOut | None = Field(
        description="How many independent judges a panel of three is worth.",
        examples=[{**EFFECT, "name": "n_eff", "unit": "judges", "estimate": 1.9}],
    )
    panel_worth: EffectOut | None = Field(
        description="Whether the panel is useful, weak or useless beside human grades alone: the correlation "
        "of held-out calibrated scores with human grades within systems; null where nothing is calibrated.",
        examples=[{**EFFECT, "name": "panel_worth", "unit": "correlation", "estimate": 0.62}],
    )
    multiplicity: MultiplicityOut | None = Field(
        description="How the p-values of this criterion's report were adjusted for each other.",
        examples=[{"method": "benjamini-hochberg", "effects": 84, "flagged": 12}],
    )
    people_agreement: EffectOut | None = Field(
        description="How far single people agree with each other.",
        examples=[{**EFFECT, "name": "people_agreement", "unit": "alpha", "estimate": 0.62}],
    )
    versions: list[VersionOut] = Field(
        description="Versions of the judge with verdicts in this calibration; empty if it has none.",
        examples=[[]],
    )


class BiasOut(Answered):
    """The bias report of one judge under one rubric."""

    judge: str = Field(description="The judge.", examples=["gpt-x"])
    family: str | None = Field(description="Its family; null if nothing tells it.", examples=["openai"])
    rubric: str = Field(description="The rubric.", examples=["helpfulness"])
    rubric_version: int = Field(description="The rubric's newest version.", examples=[3])
    simulated: bool = Field(
        description="Whether this is a simulated judge: then nothing here measures a real model.",
        examples=[False],
    )
    criteria: list[CriterionOut] = Field(description="Criterion by criterion.", examples=[[]])


@router.get(
    "/judges/{name:path}/bias", summary="A judge's biases, relative to people", responses=documented(404, 422)
)
async def get_bias(
    name: Annotated[str, Path(description="The judge's name.", examples=["gpt-x"])],
    caller: Reader,
    services: Served,
    rubric: Annotated[str, Query(description="The rubric under which it judged.", examples=["helpfulness"])],
    criterion: Annotated[
        str | None, Query(description="Only this criterion.", examples=["helpfulness"])
    ] = None,
) -> BiasOut:
    """Every bias with an interval, the number behind it, and one sentence; or what is missing to tell it."""
    report = await bias_report(services.database, caller.project.id, name, rubric=rubric, criterion=criterion)
    on_roster = next((one.config for one in services.roster.entries if one.config.name == name), None)
    if on_roster is None and report.family is None:
        raise NotFound("judge on the roster or on record called", name)
    return BiasOut(
        judge=report.judge,
        family=report.family or (on_roster.family if on_roster else None),
        rubric=report.rubric,
        rubric_version=report.rubric_version,
        simulated=report.simulated or (on_roster is not None and on_roster.provider == "simulated"),
        criteria=[_criterion(told) for told in report.criteria],
    )


def _criterion(told: CriterionBias) -> CriterionOut:
    return CriterionOut(
        criterion=told.criterion,
        status=told.status,
        refusals=list(told.refusals),
        calibration_id=told.calibration_id,
        calibrated_at=told.calibrated_at,
        level=told.level,
        panel=shown_effect(told.panel) if told.panel else None,
        panel_worth=shown_effect(told.panel_worth) if told.panel_worth else None,
        multiplicity=None
        if told.multiplicity is None
        else MultiplicityOut(
            method=told.multiplicity.method,
            effects=told.multiplicity.effects,
            flagged=told.multiplicity.flagged,
        ),
        people_agreement=shown_effect(told.people_agreement) if told.people_agreement else None,
        versions=[_version(version) for version in told.versions],
    )


def _version(told: JudgeVersionBias) -> VersionOut:
    return VersionOut(
        judge_version=told.judge_version,
        family=told.family,
        model=told.model,
        params=told.params,
        prompt_version=told.prompt_version,
        simulated=told.simulated,
        verdicts=told.verdicts,
        unscored=dict(told.unscored),
        effects=[shown_effect(effect) for effect in told.effects],
        checks=[shown_effect(effect) for effect in told.checks],
        systems=[shown_effect(effect) for effect in told.systems],
        strata={name: [shown_effect(effect) for effect in table] for name, table in told.strata.items()},
    )


def shown_effect(told: ToldEffect) -> EffectOut:
    """The effect as it is answered."""
    return EffectOut(
        name=told.name,
        estimate=told.estimate,
        interval=told.interval,
        std_error=told.std_error,
        n=told.n,
        unit=told.unit,
        status=told.status,
        sentence=told.sentence,
        no_effect=told.no_effect,
        p_value=told.p_value,
        p_adjusted=told.p_adjusted,
        flagged=told.flagged,
        p_randomisation=told.p_randomisation,
        compared_with=PredecessorOut(**told.compared_with) if told.compared_with else None,
    )
