from types import SimpleNamespace

import pytest

from app.batches.estimate import Estimator
from app.domain.items import Answer, Item
from app.domain.judging import JudgeVersion, PanelRequest, Stages
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.grading.assignment import Exclusions, eligible_judges
from app.grading.requests import GradeRequest

RUBRIC = RubricVersion(1, 1, Rubric("r", RubricKind.POINTWISE, "Judge.", (Criterion("c", "d", Scale(1, 5)),)))
ROSTER = [JudgeVersion(family, family, family) for family in "ABC"]
PRICED = {judge: SimpleNamespace(price_input_per_mtok=2.0, price_output_per_mtok=8.0) for judge in ROSTER}


def estimate(stages: Stages | None):
    estimator = Estimator(PRICED, {})
    item = Item("How?" * 100, (Answer("bot", "So." * 100),))
    request = GradeRequest("r", item, PanelRequest(stages=stages))
    for _ in range(100):
        estimator.add(request, RUBRIC, eligible_judges(ROSTER, Exclusions()))
    return estimator.estimate()


def test_a_second_stage_costs_its_least_chance_at_the_low_end_and_everything_at_the_high_end():
    whole, staged = estimate(None), estimate(Stages(1, least_chance=0.25))
    assert whole.seats == 300
    assert staged.seats == 100 + 200 * (0.25 + 1) / 2
    assert staged.low_usd == pytest.approx(whole.low_usd * (1 + 2 * 0.25) / 3)
    assert staged.expected_usd == pytest.approx(whole.expected_usd * staged.seats / 300)
    assert staged.high_usd == pytest.approx(whole.high_usd)
