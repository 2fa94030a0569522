from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from app.domain.calibration import ScoreStatus
from app.domain.problems import BadInput, NotFound
from app.domain.rubrics import RubricKind
from app.reporting.quality_report import Quality
from app.stats.panel_worth import Worth
from app.storage.rubrics import get_rubric, put_rubric
from tests.reporting.projects import PROMPTS, SYSTEMS, calibrate, judged_project, rubric_for, truth
from tests.reporting.projects import about as unit
from tests.storage.samples import imported, recorded

ASK = {"rubric": "support", "criterion": "quality"}


async def test_kind_judges_are_corrected_to_what_people_say(db, project, now):
    await judged_project(db, project.id, now)
    await calibrate(db, project.id, now)
    table = await Quality(db).table(project.id, **ASK)
    assert [row.system for row in table.rows] == [f"bot-{k}" for k in range(SYSTEMS)]
    assert table.calibration_id is not None
    assert not table.simulated
    for system, row in enumerate(table.rows):
        low, high = row.interval
        assert row.status is ScoreStatus.CALIBRATED
        assert (row.n_items, row.n_anchors) == (PROMPTS, 25)
        assert row.raw_mean > truth(system) + 0.2
        assert low <= row.corrected <= high
        # 25 grades with a standard deviation of about 0.8, narrowed by the panel: four errors of 0.15
        assert row.corrected == pytest.approx(truth(system), abs=0.6)
        assert row.rectifier == pytest.approx(row.corrected - row.raw_mean)
        # 25 people's grades are worth more with the panel, but for a system that the others do not foretell
        assert row.effective_sample_size > 15


async def test_where_lower_is_better_values_stay_on_the_criterions_own_scale(calibrated):
    async with calibrated(higher_is_better=False) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        assert not table.higher_is_better
        for system, row in enumerate(table.rows):
            assert row.corrected == pytest.approx(6 - truth(system), abs=0.6)
            assert row.interval[0] <= row.corrected <= row.interval[1]
            assert row.raw_mean < 6 - truth(system)


async def test_a_table_says_whether_its_judges_are_worth_having(calibrated):
    async with calibrated() as (quality, project, _db):
        panel = (await quality.table(project.id, **ASK)).panel
        assert panel.worth.status is Worth.USEFUL
        assert panel.worth.n == SYSTEMS * 25
        assert PROMPTS - 5 < panel.worth.prompts <= PROMPTS
        assert panel.sentence.startswith("the judges are useful here")
        wide = (await quality.table(project.id, **ASK, level=0.99)).panel
        assert wide.worth.interval[0] < panel.worth.interval[0]
    async with calibrated(blind=True) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        assert table.panel.worth.status is Worth.USELESS
        assert table.panel.worth.interval[0] < 0 < table.panel.worth.interval[1]
        assert table.panel.sentence.startswith("the judges are useless here")
        assert "change the judges" in table.panel.sentence
        assert all(row.corrected is not None for row in table.rows)
    async with calibrated(anchors=20, kind=RubricKind.PAIRWISE) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        assert 2 * table.panel.worth.n == sum(row.n_anchors for row in table.rows)


async def test_without_a_calibration_there_are_raw_means_and_the_reason(db, project, now):
    await judged_project(db, project.id, now)
    table = await Quality(db).table(project.id, **ASK)
    assert table.calibration_id is None
    assert table.panel is None
    assert "calibrate" in table.warnings[0]
    for row in table.rows:
        assert row.raw_mean is not None
        assert (row.corrected, row.interval, row.rectifier) == (None, None, None)
        assert row.status is ScoreStatus.INSUFFICIENT_ANCHORS


async def test_without_human_grades_values_are_relative_to_the_judges(calibrated):
    async with calibrated(anchors=0) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        assert {row.status for row in table.rows} == {ScoreStatus.JUDGE_RELATIVE}
        assert {row.corrected for row in table.rows} == {None}


async def test_a_rubric_without_verdicts_has_no_rows(db, project, now):
    await put_rubric(db, project.id, rubric_for(), now=now)
    table = await Quality(db).table(project.id, **ASK)
    assert table.rows == ()


async def test_five_anchors_each_give_a_value_that_says_it_leans_on_others(calibrated):
    async with calibrated(anchors=6) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        for row in table.rows:
            assert row.status is ScoreStatus.INSUFFICIENT_ANCHORS
            assert row.interval is not None
            assert "leans" in row.warnings[0]


async def test_rows_by_stratum_and_by_system_and_stratum_add_up(calibrated):
    async with calibrated() as (quality, project, _db):
        strata = await quality.table(project.id, **ASK, by=["stratum.language"])
        both = await quality.table(project.id, **ASK, by=["system", "stratum.language"])
        whole = await quality.table(project.id, **ASK, by=[])
        assert [dict(row.strata) for row in strata.rows] == [{"language": "de"}, {"language": "en"}]
        assert len(both.rows) == 2 * SYSTEMS
        assert sum(row.n_items for row in both.rows) == whole.rows[0].n_items == SYSTEMS * PROMPTS
        assert sum(row.n_anchors for row in strata.rows) == whole.rows[0].n_anchors == SYSTEMS * 25
        assert whole.rows[0].system is None
        assert whole.rows[0].corrected == pytest.approx(np.mean([truth(k) for k in range(SYSTEMS)]), abs=0.4)


async def test_what_cannot_be_grouped_by_is_named_with_what_can(calibrated):
    async with calibrated() as (quality, project, _db):
        with pytest.raises(BadInput) as error:
            await quality.table(project.id, **ASK, by=["stratum.colour", "mood"])
        assert [problem.value for problem in error.value.problems] == ["stratum.colour", "mood"]
        assert "stratum.language" in error.value.problems[0].problem


@pytest.mark.parametrize("ask", [ASK | {"rubric": "nothing"}, ASK | {"criterion": "nothing"}])
async def test_an_unknown_rubric_or_criterion_is_not_found(db, project, now, ask):
    await put_rubric(db, project.id, rubric_for(), now=now)
    with pytest.raises(NotFound):
        await Quality(db).table(project.id, **ask)


async def test_answers_judged_since_are_in_and_second_verdicts_are_owned_up_to(calibrated, now):
    async with calibrated() as (quality, project, db):
        rubric = await get_rubric(db, project.id, "support")
        before = await quality.table(project.id, **ASK)
        later = [recorded(unit(0, 900 + k), 5.0, by="judge-0") for k in range(7)]
        later += [recorded(unit(9, 900 + k), 2.0, by="judge-1") for k in range(5)]
        again = [recorded(unit(1, k), 5.0, by="judge-0", draw=2) for k in range(4)]
        await imported(db, project.id, rubric, later + again, now, sha256="later")
        for table in (await quality.table(project.id, **ASK), await Quality(db).table(project.id, **ASK)):
            assert table.calibration_id == before.calibration_id
            assert table.newer_verdicts == 4
            assert any("4 newer verdicts" in warning for warning in table.warnings)
            rows = {row.system: row for row in table.rows}
            assert rows["bot-0"].n_items == PROMPTS + 7
            assert rows["bot-0"].raw_mean > before.rows[0].raw_mean
            assert rows["bot-9"].n_items == 5
            assert rows["bot-9"].n_anchors == 0
            assert rows["bot-9"].status is ScoreStatus.EXTRAPOLATING


async def test_over_time_answers_count_in_the_period_in_which_they_were_first_seen(calibrated, now):
    async with calibrated() as (quality, project, db):
        rubric = await get_rubric(db, project.id, "support")
        later = [recorded(unit(0, 900 + k), 5.0, by="judge-0") for k in range(7)]
        await imported(db, project.id, rubric, later, now + timedelta(days=9), sha256="later")
        table = await quality.table(project.id, **ASK, by=("system", "period.day"))
        days = [str(now.date()), str((now + timedelta(days=9)).date())]
        mine = {row.strata["period.day"]: row for row in table.rows if row.system == "bot-0"}
        assert list(mine) == days
        assert [mine[day].n_items for day in days] == [PROMPTS, 7]
        assert [mine[day].n_anchors for day in days] == [25, 0]
        assert {row.strata["period.day"] for row in table.rows if row.system != "bot-0"} == {days[0]}
        for row in mine.values():
            assert row.interval[0] <= row.corrected <= row.interval[1]
        alone = await quality.table(project.id, **ASK, by=("period.month",))
        assert sum(row.n_items for row in alone.rows) == SYSTEMS * PROMPTS + 7
        with pytest.raises(BadInput) as wrong:
            await quality.table(project.id, **ASK, by=("period.day", "period.week"))
        assert "one period at a time" in wrong.value.problems[0].problem


async def test_a_changed_rubric_makes_the_numbers_stale(calibrated, now):
    async with calibrated() as (quality, project, db):
        await put_rubric(db, project.id, replace(rubric_for(), instructions="Judge with more care."), now=now)
        table = await quality.table(project.id, **ASK)
        assert {row.status for row in table.rows} == {ScoreStatus.STALE}
        assert table.rows[0].corrected is not None


async def test_pairs_give_win_rates_that_average_to_one_half(calibrated):
    async with calibrated(kind=RubricKind.PAIRWISE) as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        assert table.scale == (0.0, 1.0)
        rates = [row.corrected for row in table.rows]
        assert all(0 <= rate <= 1 for rate in rates)
        assert rates[0] < 0.4 < 0.6 < rates[-1]
        weight = [row.n_items for row in table.rows]
        assert np.average(rates, weights=weight) == pytest.approx(0.5, abs=0.05)


async def test_all_that_is_asked_about_is_known_better_than_a_stream_of_it(calibrated):
    async with calibrated() as (quality, project, _db):
        stream = await quality.table(project.id, **ASK)
        these = await quality.table(project.id, **ASK, population="these_units")

        def width(table):
            return np.mean([row.interval[1] - row.interval[0] for row in table.rows])

        assert width(these) < 0.9 * width(stream)  # half of each system's answers are graded


async def test_a_newer_calibration_takes_the_place_of_the_kept_one(calibrated, now):
    async with calibrated() as (quality, project, db):
        rubric = await get_rubric(db, project.id, "support")
        before = await quality.table(project.id, **ASK)
        later = [recorded(unit(0, 900 + k), 4.0, by="judge-0") for k in range(7)]
        await imported(db, project.id, rubric, later, now, sha256="later")
        await calibrate(db, project.id, now + timedelta(seconds=1))
        after = await quality.table(project.id, **ASK)
        assert after.calibration_id != before.calibration_id
        assert after.newer_verdicts == 0
        assert after.rows[0].n_items == PROMPTS + 7
