"""Missing verdicts in a quality table, on stored projects in which one judge is silent on bad answers."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain.rubrics import RubricKind
from app.reporting.graded_units import graded_units
from app.reporting.quality_groups import group_units
from app.reporting.quality_report import Quality
from app.reporting.unscored import SHIFTS, unscored_judges, unscored_rows
from app.storage.rubrics import get_rubric
from tests.reporting.projects import PROMPTS, SYSTEMS, about, calibrate, judged_project
from tests.storage.samples import imported, recorded

ASK = {"rubric": "support", "criterion": "quality"}
BAD = 2.8  # half of what judge-0 is asked about below it gets no verdict


async def test_a_judge_that_is_silent_on_bad_answers_is_told_with_what_it_can_have_done(db, project, now):
    await judged_project(db, project.id, now, silent_below=BAD)
    raw = await Quality(db).table(project.id, **ASK)
    await calibrate(db, project.id, now)
    table = await Quality(db).table(project.id, **ASK)
    silent = sum(row.unscored.missing for row in table.rows)
    assert silent > 50
    assert [row.unscored.n for row in table.rows] == [3 * PROMPTS] * SYSTEMS
    assert table.rows[0].unscored.rate > table.rows[-1].unscored.rate
    by_name = {one.judge: one for one in table.judges}
    assert {name: one.missing for name, one in by_name.items()} == {
        "judge-0": silent, "judge-1": 0, "judge-2": 0
    }  # fmt: skip
    related = by_name["judge-0"].related_to_quality
    assert related.status == "identified"
    assert related.interval[0] < related.difference < related.interval[1] < 0
    assert by_name["judge-1"].related_to_quality.status == "insufficient_data"
    assert any("verdicts of judge-0 are missing more on answers" in said for said in table.warnings)
    for before, row in zip(raw.rows, table.rows, strict=True):
        bounds = row.unscored.bounds
        low, high = bounds.worst_case
        means = [one.raw_mean for one in bounds.shifted]
        assert [one.sd for one in bounds.shifted] == list(SHIFTS)
        assert 1 <= low <= means[0] <= means[1] <= row.raw_mean <= means[2] <= means[3] <= high <= 5
        assert bounds.raw_mean == pytest.approx(row.raw_mean)
        within, reach = bounds.corrected.worst_case, bounds.corrected.worst_case_interval
        assert within[0] <= row.corrected <= within[1]
        assert reach[0] <= row.interval[0] <= row.interval[1] <= reach[1]
        assert before.unscored.bounds.corrected is None
        assert len(bounds.corrected.shifted) == len(SHIFTS)
        for one in bounds.corrected.shifted:
            assert within[0] - 1e-9 <= one.corrected <= within[1] + 1e-9
            assert one.interval[0] < one.corrected < one.interval[1]
        if row.unscored.missing > 10:  # people hold it, while the raw mean could be anything
            assert within[1] - within[0] < high - low + 0.2
        assert row.unscored.interval[0] <= row.unscored.rate <= row.unscored.interval[1]
        assert before.unscored.missing == row.unscored.missing  # a calibration changes nothing about it
        np.testing.assert_allclose(before.unscored.bounds.worst_case, bounds.worst_case, atol=1e-5)


async def test_where_lower_is_better_silence_on_bad_answers_is_on_high_values(db, project, now):
    await judged_project(db, project.id, now, anchors=0, higher_is_better=False, silent_below=BAD)
    table = await Quality(db).table(project.id, **ASK, by=[])
    row = table.rows[0]
    assert row.unscored.related_to_quality.interval[0] > 0
    assert "answers that the other judges find worse" in row.warnings[-1]
    bounds = row.unscored.bounds
    assert 1 <= bounds.worst_case[0] < row.raw_mean < bounds.worst_case[1] <= 5
    assert bounds.shifted[0].raw_mean > row.raw_mean > bounds.shifted[-1].raw_mean  # worse is higher


async def test_answers_judged_since_the_calibration_are_not_counted(calibrated, now):
    async with calibrated(silent_below=BAD) as (quality, project, db):
        before = await quality.table(project.id, **ASK)
        rubric = await get_rubric(db, project.id, "support")
        later = [recorded(about(0, 900 + k), 5.0, by="judge-0") for k in range(7)]
        await imported(db, project.id, rubric, later, now, sha256="later")
        after = await quality.table(project.id, **ASK)
        assert after.rows[0].n_items == before.rows[0].n_items + 7
        assert after.rows[0].unscored.n == before.rows[0].unscored.n
        assert after.rows[0].unscored.bounds.raw_mean == pytest.approx(before.rows[0].raw_mean)


async def test_with_every_verdict_there_the_bounds_are_the_raw_mean(calibrated):
    async with calibrated() as (quality, project, _db):
        table = await quality.table(project.id, **ASK)
        for row in table.rows:
            assert (row.unscored.rate, row.unscored.missing) == (0.0, 0)
            assert row.unscored.interval[0] == 0 < row.unscored.interval[1]
            assert row.unscored.bounds.worst_case == pytest.approx((row.raw_mean, row.raw_mean))
            corrected = row.unscored.bounds.corrected
            assert corrected.worst_case == pytest.approx((row.corrected, row.corrected))
            assert corrected.worst_case_interval == pytest.approx(row.interval)
            assert row.unscored.related_to_quality.status == "insufficient_data"
        assert not any("missing" in said for said in table.warnings)


async def test_a_calibration_from_before_they_were_counted_says_nothing(calibrated):
    async with calibrated(silent_below=BAD) as (quality, project, _db):
        ready = await quality.ready(project.id, **ASK)
        old = graded_units(replace(ready.units.frame, knows_missing=False))
        assert unscored_rows(old, group_units(old, ["system"]), 0.95) == (None,) * SYSTEMS
        assert unscored_judges(old, 0.95) == ()


async def test_a_pair_counts_for_both_its_systems_and_has_a_side_only_by_system(db, project, now):
    await judged_project(
        db, project.id, now, anchors=0, kind=RubricKind.PAIRWISE, silent_below=0.0
    )  # silent where the later name wins
    quality = Quality(db)
    systems = (await quality.table(project.id, **ASK)).rows
    whole = (await quality.table(project.id, **ASK, by=["stratum.language"])).rows
    judges = (await quality.table(project.id, **ASK)).judges
    pairs = 4 * PROMPTS
    assert sum(row.unscored.n for row in systems) == 2 * 3 * pairs
    assert sum(row.unscored.n for row in whole) == 3 * pairs == sum(one.n for one in judges)
    assert sum(row.unscored.missing for row in systems) == 2 * sum(row.unscored.missing for row in whole)
    for row in whole:
        assert row.unscored.bounds is None
        assert row.unscored.related_to_quality.status == "not_identified"
    for row in systems:
        low, high = row.unscored.bounds.worst_case
        assert 0 <= low <= row.raw_mean <= high <= 1
    # bot-0 is always the first name, and loses what is missing; bot-4 always the second
    first, last = systems[0].unscored.related_to_quality, systems[-1].unscored.related_to_quality
    assert first.interval[1] < 0 < last.interval[0]
