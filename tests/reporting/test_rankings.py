"""Rankings of stored pairs, graded in a round or in ways that no ranking can be made of."""

import numpy as np
import pytest

from app.domain.calibration import ScoreStatus
from app.domain.problems import BadInput, NotFound
from app.domain.rubrics import RubricKind
from app.reporting.quality_report import Quality
from app.reporting.rankings import rank
from app.storage.projects import get_or_create_project
from tests.reporting.projects import about, calibrate, judged_project, rubric_for
from tests.storage.samples import anchored, human, imported, recorded, rubric_in

ASK = {"rubric": "support", "criterion": "quality"}
BOTS = [f"bot-{k}" for k in range(5)]


@pytest.fixture
async def pairs(calibrated):
    async with calibrated(kind=RubricKind.PAIRWISE) as (quality, project, _):
        yield quality, project


async def test_systems_stand_in_their_true_order_with_n_and_intervals_everywhere(pairs):
    quality, project = pairs
    found = await rank(quality, project.id, **ASK)
    assert found.refusals == ()
    assert [row.rank for row in found.rows] == [1, 2, 3, 4, 5]
    assert [found.rows[0].system, found.rows[-1].system] == ["bot-4", "bot-0"]
    assert sum(row.strength for row in found.rows) == pytest.approx(0, abs=1e-9)
    for row in found.rows:
        assert row.strength_interval[0] < row.strength < row.strength_interval[1]
        assert row.win_rate_interval[0] < row.win_rate < row.win_rate_interval[1]
        assert row.rank_interval[0] <= row.rank <= row.rank_interval[1]
        assert (row.status, row.opponents) == (ScoreStatus.CALIBRATED, 4)
        assert row.n_pairs >= row.n_anchors >= row.n_prompts > 0
    assert sum(row.n_pairs for row in found.rows) == 2 * 200
    assert sum(row.n_anchors for row in found.rows) == 2 * 125
    assert len(found.pairs) == 10
    for pair in found.pairs:
        assert pair.system < pair.other
        assert pair.interval[0] < pair.win_rate < pair.interval[1]
        assert 0 <= pair.human_win_rate <= 1
    strongest = next(one for one in found.pairs if (one.system, one.other) == ("bot-0", "bot-4"))
    assert strongest.win_rate < 0.3
    assert found.calibration_id is not None


async def test_a_wider_level_gives_wider_intervals(pairs):
    quality, project = pairs
    narrow, wide = [await rank(quality, project.id, **ASK, level=level) for level in (0.5, 0.99)]
    for a, b in zip(narrow.rows, wide.rows, strict=True):
        assert np.ptp(a.strength_interval) < np.ptp(b.strength_interval)
        assert np.ptp(a.rank_interval) <= np.ptp(b.rank_interval)


async def test_without_a_calibration_there_are_raw_win_rates_and_the_reason(db, now):
    project = await get_or_create_project(db, now=now)
    await judged_project(db, project.id, now, kind=RubricKind.PAIRWISE)
    found = await rank(Quality(db), project.id, **ASK)
    assert "calibrate" in found.refusals[0]
    assert found.calibration_id is None
    assert {row.status for row in found.rows} == {ScoreStatus.INSUFFICIENT_ANCHORS}
    assert all(row.rank is None and row.raw_win_rate is not None for row in found.rows)
    assert all(pair.win_rate is None and pair.raw_win_rate is not None for pair in found.pairs)


async def test_answers_judged_by_themselves_are_not_ranked(calibrated):
    async with calibrated() as (quality, project, _):
        with pytest.raises(BadInput, match="only pairs"):
            await rank(quality, project.id, **ASK)
        with pytest.raises(NotFound):
            await rank(quality, project.id, rubric="support", criterion="no")
        with pytest.raises(NotFound):
            await rank(quality, project.id, rubric="no", criterion="quality")


async def _pairs_by(db, project, now, chosen, prefers):
    """160 meetings, ``chosen`` in turn, all graded as ``prefers`` says; calibrated and ranked."""
    rng = np.random.default_rng(4)
    rubric = await rubric_in(db, project.id, now, rubric_for(RubricKind.PAIRWISE))
    verdicts, people = [], []
    for prompt in range(160):
        first, second = chosen[prompt % len(chosen)]
        one = about(first, prompt, second)
        felt = prefers(first, second, rng)
        for j in range(3):
            said = felt if rng.random() < 0.8 else float(rng.choice([-1.0, 0.0, 1.0]))
            verdicts.append(recorded(one, said, by=f"judge-{j}", order=1))
        people.append(human(one, felt))
    await imported(db, project.id, rubric, verdicts, now)
    await anchored(db, project.id, rubric, people, now)
    await calibrate(db, project.id, now)
    return await rank(Quality(db), project.id, **ASK)


def _coin(first, second, rng):
    return float(rng.choice([-1.0, 0.0, 1.0]))


async def test_parts_that_nobody_compared_are_refused_by_name(db, project, now):
    found = await _pairs_by(db, project, now, [(0, 1), (1, 2), (0, 2), (3, 4)], _coin)
    assert found.parts == (("bot-0", "bot-1", "bot-2"), ("bot-3", "bot-4"))
    assert "bot-0, bot-1, bot-2; bot-3, bot-4" in found.refusals[0]
    assert all(row.rank is None for row in found.rows)
    assert {row.status for row in found.rows} == {ScoreStatus.INSUFFICIENT_ANCHORS}
    assert {row.opponents for row in found.rows} == {1, 2}


async def test_a_system_that_always_won_and_one_that_always_lost_are_named_and_no_other(db, project, now):
    def prefers(first, second, rng):
        if 3 in (first, second):
            return 1.0 if first == 3 else -1.0
        if 0 in (first, second):
            return -1.0 if first == 0 else 1.0
        return _coin(first, second, rng)

    chosen = [(i, k) for i in range(4) for k in range(i + 1, 4)]
    found = await _pairs_by(db, project, now, chosen, prefers)
    assert len(found.refusals) == 2
    assert "never preferred another system to bot-3, nor" in found.refusals[0]
    assert "always preferred another system to bot-0, nor" in found.refusals[1]
    assert found.parts == ()


async def test_a_system_without_enough_human_grades_is_left_out_and_said_so(calibrated, now):
    async with calibrated(kind=RubricKind.PAIRWISE) as (quality, project, db):
        rubric = await rubric_in(db, project.id, now, rubric_for(RubricKind.PAIRWISE))
        later = [recorded(about(0, 900 + k, 7), -1.0, by=f"judge-{k % 3}", order=1) for k in range(12)]
        await imported(db, project.id, rubric, later, now, sha256="later")
        found = await rank(quality, project.id, **ASK)
        newcomer = found.rows[-1]
        assert (newcomer.system, newcomer.rank, newcomer.n_pairs) == ("bot-7", None, 12)
        assert newcomer.status is ScoreStatus.JUDGE_RELATIVE
        assert "no human grade" in newcomer.warnings[0]
        assert [row.rank for row in found.rows[:-1]] == [1, 2, 3, 4, 5]
        met = next(one for one in found.pairs if (one.system, one.other) == ("bot-0", "bot-7"))
        assert (met.n_pairs, met.raw_win_rate, met.win_rate) == (12, 0.0, None)
