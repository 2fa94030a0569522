"""GET /judges."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.access.keys import Caller
from app.domain.judging import JudgeVersion
from app.domain.projects import Scope
from app.reporting.roster_report import JudgeHealth, JudgeReport
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["judges"], route_class=StrictRoute)

Reader = Annotated[Caller, needs(Scope.READ)]


class HealthOut(Answered):
    """A judge version's calls of the last 24 hours, of at most 1,000."""

    calls: int = Field(description="Seats it was asked for.", examples=[812])
    unscored: dict[str, int] = Field(
        description="Seats without a verdict, by reason.", examples=[{"timeout": 3}]
    )
    unscored_rate: float | None = Field(description="Their share; null without calls.", examples=[0.004])
    latency_p50_ms: float | None = Field(description="Median time of a scored seat.", examples=[740.0])
    latency_p95_ms: float | None = Field(description="95% of scored seats were faster.", examples=[1850.0])
    cost_usd: float = Field(description="What these calls cost.", examples=[1.73])
    last_call_at: datetime | None = Field(description="The newest.", examples=["2026-11-22T10:00:00Z"])


class JudgeVersionOut(Answered):
    """A judge at a pinned model, parameters and prompt."""

    version: str = Field(
        description="Twelve digits of (name, model, params, prompt version).", examples=["0f3a9c21be77"]
    )
    model: str = Field(description="The pinned model.", examples=["gpt-x-2026-08-01"])
    params: str = Field(description="Its parameters, as canonical JSON.", examples=['{"temperature":0}'])
    prompt_version: str = Field(description="The version of the prompt.", examples=["p1"])
    simulated: bool = Field(description="Whether it is simulated.", examples=[False])
    current: bool = Field(description="Whether it sits on panels now.", examples=[True])
    first_seen_at: datetime | None = Field(
        description="When its first verdict came; null before that.", examples=["2026-11-22T10:00:00Z"]
    )
    verdicts: int = Field(description="Verdicts on record, imported ones included.", examples=[20412])
    unscored_verdicts: int = Field(description="Those without a score.", examples=[31])
    health: HealthOut = Field(description="How it has been doing lately.", examples=[{}])


class JudgeOut(Answered):
    """A judge of the roster, or one that verdicts on record name."""

    name: str = Field(description="Its name.", examples=["gpt-x"])
    family: str = Field(description="The lineage whose biases it shares.", examples=["openai"])
    on_roster: bool = Field(description="Whether the roster has it.", examples=[True])
    enabled: bool = Field(description="Whether it may sit on panels.", examples=[True])
    provider: str | None = Field(description="How it is called.", examples=["openai"])
    base_url: str | None = Field(description="Its server, where that is not the usual.", examples=[None])
    simulated: bool = Field(description="Whether it is simulated.", examples=[False])
    versions: list[JudgeVersionOut] = Field(description="Newest last.", examples=[[]])


@router.get("/judges", summary="The judges, their versions and their health", responses=documented(422))
async def list_judges(caller: Reader, services: Served, paging: Paging) -> Page[JudgeOut]:
    """Every judge on the roster or in the project's verdicts, by name."""
    judges = await services.roster_report.judges(caller.project)
    page, cursor = paging.cut(judges, lambda judge: judge.name)
    return Page(items=[_judge(judge) for judge in page], next_cursor=cursor)


def _judge(judge: JudgeReport) -> JudgeOut:
    entry, current = judge.entry, judge.current
    versions = [_version(one.judge, one, one.judge == current) for one in judge.health]
    if current is not None and not any(version.current for version in versions):
        versions.append(_version(current, None, True))
    return JudgeOut(
        name=judge.name,
        family=judge.family,
        on_roster=entry is not None,
        enabled=current is not None,
        provider=None if entry is None else entry.config.provider,
        base_url=None if entry is None else entry.config.base_url,
        simulated=any(version.simulated for version in versions[-1:]),
        versions=versions,
    )


def _version(judge: JudgeVersion, health: JudgeHealth | None, current: bool) -> JudgeVersionOut:
    return JudgeVersionOut(
        version=judge.digest(),
        model=judge.model,
        params=judge.params,
        prompt_version=judge.prompt_version,
        simulated=judge.simulated,
        current=current,
        first_seen_at=None if health is None else health.first_seen_at,
        verdicts=0 if health is None else health.verdicts,
        unscored_verdicts=0 if health is None else health.unscored_verdicts,
        health=_health(health),
    )


def _health(health: JudgeHealth | None) -> HealthOut:
    if health is None:
        return HealthOut(
            calls=0,
            unscored={},
            unscored_rate=None,
            latency_p50_ms=None,
            latency_p95_ms=None,
            cost_usd=0.0,
            last_call_at=None,
        )
    return HealthOut(
        calls=health.calls,
        unscored={reason.value: count for reason, count in health.unscored.items()},
        unscored_rate=health.unscored_rate,
        latency_p50_ms=health.latency_p50_ms,
        latency_p95_ms=health.latency_p95_ms,
        cost_usd=health.cost_usd,
        last_call_at=health.last_call_at,
    )
