"""Several candidates on several criteria in one table."""

import numpy as np
import pytest

from app.domain.calibration import ScoreStatus
from app.domain.problems import BadInput, NotFound
from app.reporting.comparison_table import compare_all
from app.reporting.comparisons import compare
from app.reporting.quality_report import Quality
from app.stats.difference import Finding
from app.storage.projects import get_or_create_project
from tests.reporting.projects import judged_project

TWO = ("quality", "tone")
BOTS = [f"bot-{k}" for k in range(5)]


@pytest.fixture
async def two(calibrated):
    async with calibrated(criteria=TWO) as (quality, project, _):
        yield quality, project.id


async def test_every_candidate_is_compared_on_every_criterion_and_the_rows_are_those_of_single_ones(two):
    quality, project = two
    found = await compare_all(quality, project, rubric="support", baseline="bot-2", margin=0.1)
    assert [(one.criterion, one.candidate) for one in found.rows] == [
        (name, bot) for name in TWO for bot in BOTS if bot != "bot-2"
    ]
    assert found.compared == 8
    assert [basis.criterion for basis in found.criteria] == list(TWO)
    assert all(basis.calibration_id for basis in found.criteria)
    for one in found.rows:
        alone = await compare(
            quality, project, rubric="support", criterion=one.criterion, baseline="bot-2",
            candidate=one.candidate, margin=0.1,
        )  # fmt: skip
        assert one.row.difference == pytest.approx(alone.overall.difference)
        assert one.row.interval == pytest.approx(alone.overall.interval)
        assert one.row.p_value == pytest.approx(alone.overall.p_value)
        assert one.row.baseline_anchors == alone.overall.baseline_anchors == 25


async def test_p_values_are_adjusted_over_all_rows_together(two):
    quality, project = two
    ask = {"rubric": "support", "baseline": "bot-2", "by": ["stratum.language"]}
    holm = await compare_all(quality, project, **ask)
    bh = await compare_all(quality, project, **ask, adjustment="bh")
    p = np.array([one.row.p_value for one in holm.rows])
    assert p.size == 2 * 4 * 3  # criteria, candidates, everything and two languages
    order = np.argsort(p)
    by_hand = np.minimum(np.maximum.accumulate((p.size - np.arange(p.size)) * p[order]), 1)
    assert [holm.rows[k].row.p_adjusted for k in order] == pytest.approx(by_hand)
    step_up = np.minimum.accumulate((p[order] * p.size / np.arange(1, p.size + 1))[::-1])[::-1]
    assert [bh.rows[k].row.p_adjusted for k in order] == pytest.approx(np.minimum(step_up, 1))
    assert {one.row.verdict for one in bh.rows} >= {Finding.BETTER, Finding.WORSE}
    claims = [sum(one.row.verdict in (Finding.BETTER, Finding.WORSE) for one in t.rows) for t in (holm, bh)]
    assert claims[0] <= claims[1]


async def test_a_criterion_may_have_a_margin_of_its_own(two):
    quality, project = two
    found = await compare_all(
        quality, project, rubric="support", baseline="bot-1", candidates=["bot-2"], margin=0.0,
        margins={"tone": 3.0},
    )  # fmt: skip
    verdicts = {one.criterion: one.row.verdict for one in found.rows}
    assert verdicts["tone"] is Finding.EQUIVALENT
    assert verdicts["quality"] is not Finding.EQUIVALENT
    assert [basis.margin for basis in found.criteria] == [0.0, 3.0]


async def test_criteria_and_candidates_may_be_chosen_and_keep_their_order(two):
    quality, project = two
    found = await compare_all(
        quality, project, rubric="support", criteria=["tone"], baseline="bot-0", candidates=["bot-4", "bot-1"]
    )
    assert [(one.criterion, one.candidate) for one in found.rows] == [("tone", "bot-4"), ("tone", "bot-1")]
    assert found.rows[0].row.verdict is Finding.BETTER


async def test_without_a_calibration_every_row_says_why(db, now):
    project = await get_or_create_project(db, now=now)
    await judged_project(db, project.id, now)
    found = await compare_all(Quality(db), project.id, rubric="support", baseline="bot-0")
    assert found.compared == 0
    assert len(found.rows) == 4
    for one in found.rows:
        assert (one.row.difference, one.row.verdict) == (None, Finding.INCONCLUSIVE)
        assert one.row.status is ScoreStatus.INSUFFICIENT_ANCHORS
        assert one.row.baseline_anchors == 25
        assert any("calibrate" in warning for warning in one.row.warnings)


async def test_everything_that_is_wrong_is_named_at_once(two):
    quality, project = two
    with pytest.raises(BadInput) as error:
        await compare_all(
            quality, project, rubric="support", criteria=["tone", "colour", "size"], baseline="bot-0",
            candidates=["bot-0"], margins={"smell": 1.0},
        )  # fmt: skip
    assert [one.value for one in error.value.problems] == ["colour", "size", "smell", "bot-0"]
    with pytest.raises(BadInput) as error:
        await compare_all(quality, project, rubric="support", baseline="bot-8", candidates=["bot-9"])
    assert [one.value for one in error.value.problems] == ["bot-8", "bot-9"]
    with pytest.raises(BadInput):
        await compare_all(quality, project, rubric="support", baseline="bot-0", by=["system"])
    with pytest.raises(BadInput):
        await compare_all(quality, project, rubric="support", baseline="bot-0", by=["stratum.colour"])
    with pytest.raises(NotFound):
        await compare_all(quality, project, rubric="no", baseline="bot-0")
