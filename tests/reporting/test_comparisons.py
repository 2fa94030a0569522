import pytest

from app.domain.calibration import ScoreStatus
from app.domain.problems import BadInput, NotFound
from app.domain.rubrics import RubricKind
from app.reporting.comparisons import compare
from app.reporting.quality_report import Quality
from app.stats.difference import Finding
from app.storage.projects import get_or_create_project
from tests.reporting.projects import judged_project

ASK = {"rubric": "support", "criterion": "quality"}


@pytest.fixture
async def quality(calibrated):
    async with calibrated() as (quality, _, _):
        yield quality


@pytest.fixture
async def project(quality, now):
    return await get_or_create_project(quality.db, now=now)


async def test_a_clearly_better_system_is_better_and_the_other_way_round_worse(quality, project):
    found = await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-4")
    back = await compare(quality, project.id, **ASK, baseline="bot-4", candidate="bot-0")
    assert found.overall.verdict is Finding.BETTER
    assert back.overall.verdict is Finding.WORSE
    assert found.overall.difference == pytest.approx(1.6, abs=0.7)
    assert back.overall.difference == pytest.approx(-found.overall.difference)
    low, high = found.overall.interval
    assert low < found.overall.difference < high
    assert back.overall.interval == pytest.approx((-high, -low))


async def test_within_a_wide_margin_they_are_equivalent(quality, project):
    found = await compare(quality, project.id, **ASK, baseline="bot-1", candidate="bot-2", margin=2.0)
    assert found.overall.verdict is Finding.EQUIVALENT


async def test_by_stratum_there_is_a_row_each_with_holms_adjustment(quality, project):
    found = await compare(
        quality, project.id, **ASK, baseline="bot-0", candidate="bot-4", by=["stratum.language"]
    )
    assert [dict(row.strata) for row in found.rows] == [{"language": "de"}, {"language": "en"}]
    for row in found.rows:
        assert row.p_adjusted >= row.p_value


async def test_strata_may_be_explored_with_benjamini_and_hochberg_instead(quality, project):
    about = {**ASK, "baseline": "bot-1", "candidate": "bot-2", "by": ["stratum.language"]}
    confirmed = await compare(quality, project.id, **about)
    explored = await compare(quality, project.id, **about, adjustment="bh")
    small, large = sorted(row.p_value for row in explored.rows)
    assert sorted(row.p_adjusted for row in confirmed.rows) == pytest.approx(
        [min(2 * small, 1), min(max(2 * small, large), 1)]
    )
    assert sorted(row.p_adjusted for row in explored.rows) == pytest.approx([min(2 * small, large), large])
    assert explored.overall.p_adjusted == explored.overall.p_value


async def test_too_few_anchors_are_inconclusive_and_say_what_is_missing(calibrated):
    async with calibrated(anchors=6) as (quality, project, _):
        found = await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-4")
        assert found.overall.verdict is Finding.INCONCLUSIVE
        assert found.overall.difference is None
        assert found.overall.status is ScoreStatus.INSUFFICIENT_ANCHORS
        assert "baseline" in found.overall.warnings[0]


async def test_without_a_calibration_nothing_is_decided(db, now):
    project = await get_or_create_project(db, now=now)
    await judged_project(db, project.id, now)
    found = await compare(Quality(db), project.id, **ASK, baseline="bot-0", candidate="bot-4")
    assert found.overall.verdict is Finding.INCONCLUSIVE
    assert found.calibration_id is None
    assert found.overall.status is ScoreStatus.INSUFFICIENT_ANCHORS
    assert min(found.overall.baseline_anchors, found.overall.candidate_anchors) > 0
    assert found.overall.warnings
    with pytest.raises(BadInput):
        await compare(Quality(db), project.id, **ASK, baseline="bot-0", candidate="bto-4")


async def test_where_lower_is_better_a_better_candidate_has_a_negative_difference(calibrated):
    async with calibrated(higher_is_better=False) as (quality, project, _):
        found = await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-4")
        assert found.overall.verdict is Finding.BETTER
        assert found.overall.difference < 0
        assert found.overall.interval[0] < found.overall.difference < found.overall.interval[1] < 0


async def test_pairs_are_compared_by_win_rates(calibrated):
    async with calibrated(kind=RubricKind.PAIRWISE) as (quality, project, _):
        found = await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-4")
        assert found.overall.verdict is Finding.BETTER
        assert 0.2 < found.overall.difference <= 1


async def test_every_unknown_system_is_named(quality, project):
    with pytest.raises(BadInput) as error:
        await compare(quality, project.id, **ASK, baseline="bot-8", candidate="bot-9")
    assert [problem.value for problem in error.value.problems] == ["bot-8", "bot-9"]


async def test_a_system_is_not_compared_with_itself(quality, project):
    with pytest.raises(BadInput):
        await compare(quality, project.id, **ASK, baseline="bot-0", candidate="bot-0")


async def test_an_unknown_rubric_is_not_found(quality, project):
    with pytest.raises(NotFound):
        await compare(quality, project.id, rubric="no", criterion="quality", baseline="a", candidate="b")
