from datetime import datetime, timedelta

import numpy as np
import pytest

from app.domain.anchors import Pairing
from app.domain.items import Answer, Item
from app.domain.judging import Reply, Unscored, UnscoredReason, Usage
from app.domain.projects import Project
from app.domain.rubrics import RubricKind
from app.storage.database import Database
from app.storage.health import judge_health
from app.storage.judge_versions import list_judge_versions
from app.storage.tallies import verdict_tallies
from tests.storage.samples import (
    graded,
    imported,
    judge,
    one_answer,
    recorded,
    reply,
    rubric_in,
    rubric_of,
    seats_of,
)


async def test_health_is_of_recent_calls_and_counts_all_verdicts(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    refused = Reply(
        unscored=Unscored(UnscoredReason.REFUSAL, "no"), usage=Usage(cost_usd=0.001), latency_ms=9e3
    )
    old = now - timedelta(days=30)
    for said, at in ((reply(3.0), old), (reply(4.0), now), (refused, now)):
        await graded(db, project.id, rubric, one_answer(None), seats_of(judge()), [said], at)
    await imported(db, project.id, rubric, [recorded(Pairing("i1", "bot"), 2.0, by="elsewhere")], now)
    elsewhere, ours = await judge_health(db, project.id, since=now - timedelta(days=7))
    assert (ours.judge, ours.calls, ours.verdicts, ours.unscored_verdicts) == (judge(), 2, 3, 1)
    assert ours.unscored == {UnscoredReason.REFUSAL: 1}
    assert ours.unscored_rate == 0.5
    assert (ours.latency_p50_ms, ours.last_call_at) == (250.0, now)
    assert ours.cost_usd == pytest.approx(0.003)
    assert (elsewhere.judge.name, elsewhere.calls, elsewhere.verdicts) == ("elsewhere", 0, 1)
    assert elsewhere.unscored_rate is None


async def test_a_judge_with_other_parameters_is_another_version(
    db: Database, project: Project, now: datetime
):
    rubric = await rubric_in(db, project.id, now, rubric_of())
    await graded(db, project.id, rubric, one_answer(), seats_of(judge()), [reply(3.0)], now)
    await imported(db, project.id, rubric, [recorded(Pairing("i1", "bot"), 2.0, by="j1")], now)
    versions = await list_judge_versions(db, project.id, name="j1")
    assert len({key for key, _ in versions}) == 2
    assert {version.model for _, version in versions} == {"j1-model", "j1"}


async def test_tallies_add_up_to_the_verdicts(db: Database, project: Project, now: datetime):
    rubric = await rubric_in(db, project.id, now, rubric_of(RubricKind.PAIRWISE))
    answers = (Answer("alpha", "a"), Answer("beta", "b"))
    assignment = seats_of(judge("j1"), judge("j2"), orders=((0, 1), (1, 0)))
    failed = Reply(unscored=Unscored(UnscoredReason.TIMEOUT, "late"))
    for k, said in enumerate(([reply(1.0), reply(-1.0)], [reply(0.0), failed])):
        item = Item(f"prompt {k}", answers if k else answers[::-1])
        await graded(db, project.id, rubric, item, assignment, said, now)
    tallies = await verdict_tallies(db, project.id, rubric.rubric.name, "quality")
    assert tallies.systems == ("alpha", "beta")
    assert tallies.verdicts.sum() == 4
    assert {(int(s), int(o)) for s, o in zip(tallies.system, tallies.other_system, strict=True)} == {(0, 1)}
    scored = tallies.unscored == -1
    assert (tallies.verdicts[scored].sum(), tallies.total_squares.sum()) == (3, 2.0)
    # The first item was given as (beta, alpha): j1 had beta win, j2 alpha.
    by_judge = {
        tallies.judges[code].name: float(tallies.total[tallies.judge == code].sum())
        for code in np.unique(tallies.judge)
    }
    assert by_judge == {"j1": -1.0, "j2": 1.0}
