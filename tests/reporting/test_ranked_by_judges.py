"""Rankings by the judges of stored pairs, and what keeps them from one."""

import numpy as np
import pytest

from app.domain.rubrics import RubricKind
from app.reporting.quality_report import Quality
from app.reporting.ranked_by_judges import judged_ranking
from app.reporting.rankings import rank
from tests.reporting.projects import about, rubric_for
from tests.storage.samples import imported, recorded, rubric_in

ASK = {"rubric": "support", "criterion": "quality"}
ROUND = [(i, k) for i in range(4) for k in range(i + 1, 4)]


async def _judged(db, project, now, says, chosen=ROUND, turn=True):
    """240 meetings of ``chosen`` in turn before three judges; ``says(judge, first shown, second, rng)``."""
    rng = np.random.default_rng(4)
    rubric = await rubric_in(db, project.id, now, rubric_for(RubricKind.PAIRWISE))
    verdicts = []
    for prompt in range(240):
        first, second = chosen[prompt % len(chosen)]
        if turn and rng.random() < 0.5:
            first, second = second, first
        one = about(first, prompt, second)
        verdicts += [recorded(one, says(j, first, second, rng), by=f"judge-{j}", order=1) for j in range(3)]
    await imported(db, project.id, rubric, verdicts, now)
    return await judged_ranking(Quality(db), project.id, **ASK, level=0.95)


def _fair(judge, first, second, rng):
    """Later systems are better; judge 0 never ties, and everyone likes the first place."""
    felt = 0.8 * (first - second) + 0.6 + rng.logistic()
    return float(np.sign(felt)) if judge == 0 or abs(felt) > 0.5 else 0.0


async def test_judges_rank_systems_apart_from_places_and_ties(db, project, now):
    found = await _judged(db, project, now, _fair)
    assert found.refusals == found.warnings == ()
    assert sorted(found.systems, key=lambda name: found.systems[name].rank) == [
        "bot-3", "bot-2", "bot-1", "bot-0"
    ]  # fmt: skip
    for one in found.systems.values():
        assert one.strength_interval[0] < one.strength < one.strength_interval[1]
        assert one.win_rate_interval[0] < one.win_rate < one.win_rate_interval[1]
        assert one.rank_interval[0] <= one.rank <= one.rank_interval[1]
    assert sum(one.win_rate for one in found.systems.values()) == pytest.approx(2.0)
    by_name = {one.judge: one for one in found.judges}
    assert by_name["judge-0"].tie_rate == 0 < by_name["judge-1"].tie_rate
    assert all(one.position > 0.2 and one.n_verdicts == 240 for one in found.judges)


async def test_places_that_go_along_with_systems_are_refused_by_name(db, project, now):
    found = await _judged(db, project, now, _fair, chosen=[(0, 1)], turn=False)
    assert found.systems == {}
    assert "always first: bot-0; always second: bot-1" in found.refusals[0]


async def test_one_system_that_always_comes_first_of_several_is_only_warned_of(db, project, now):
    found = await _judged(db, project, now, _fair, turn=False)
    assert found.refusals == ()
    assert "shown first far more often" in found.warnings[0]
    assert all(one.position > 0 for one in found.judges)


async def test_a_judge_of_whom_nothing_can_be_told_is_left_out_by_name(db, project, now):
    def says(judge, first, second, rng):
        return {1: 1.0, 2: 0.0}.get(judge) if judge else _fair(judge, first, second, rng)

    found = await _judged(db, project, now, says)
    assert found.warnings == (
        "left out: judge-1, which always preferred the answer shown first",
        "left out: judge-2, which only ever said tie",
    )
    assert found.refusals == ("judges: 1, at least 2 are needed",)


async def test_parts_and_one_sided_systems_are_named(db, project, now):
    found = await _judged(db, project, now, _fair, chosen=[(0, 1), (2, 3)])
    assert "no verdict compares these sets" in found.refusals[0]
    assert "bot-0, bot-1; bot-2, bot-3" in found.refusals[0]


async def test_a_system_that_judges_always_preferred_is_named_and_no_other(db, project, now):
    def says(judge, first, second, rng):
        if 2 in (first, second):
            return 1.0 if first == 2 else -1.0
        return _fair(judge, first, second, rng)

    found = await _judged(db, project, now, says)
    assert len(found.refusals) == 1
    assert "judges never preferred another system to bot-2, nor" in found.refusals[0]


async def test_a_table_has_them_only_if_asked(calibrated):
    async with calibrated(kind=RubricKind.PAIRWISE) as (quality, project, _):
        assert (await rank(quality, project.id, **ASK)).by_judges is None
        found = await rank(quality, project.id, **ASK, judges=True)
        assert len(found.by_judges.systems) == 5
        best = min(found.by_judges.systems, key=lambda name: found.by_judges.systems[name].rank)
        assert best == "bot-4"
