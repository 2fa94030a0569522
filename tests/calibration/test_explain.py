"""What each verdict was worth: the parts add up to the score, and moving a verdict moves it by its weight."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.calibration.apply import score_grade
from app.calibration.explain import explain
from app.calibration.prepared import PreparedCalibration
from app.domain.items import Answer, Item
from app.domain.judging import JudgeVersion, Reply, Score, Seat, Usage
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from tests.calibration.planted import JUDGES, plant, plant_pairs
from tests.calibration.test_prepared import prepared

STRANGER = JudgeVersion("violet", "newcomer", "m", "{}", "p1")


def rubric(kind: RubricKind, higher_is_better: bool = True) -> RubricVersion:
    criterion = Criterion("helpfulness", "", Scale(1, 5), higher_is_better)
    return RubricVersion(1, 1, Rubric("r", kind, "Judge.", (criterion,)))


def replies(judges: list[JudgeVersion], values: list[float]) -> list[tuple[Seat, Reply]]:
    found = []
    for k, (judge, value) in enumerate(zip(judges, values, strict=True)):
        order = (0, 1) if k % 2 else (1, 0)
        reply = Reply((Score("helpfulness", 0, value, None),), None, None, Usage(0, 0, 0, 0.0, 1), 1.0)
        found.append((Seat(k, judge, order, 0.5, None), reply))
    return found


def one(ready: PreparedCalibration, version: RubricVersion, judges: Any, values: Any, systems: Any) -> Any:
    item = Item("q", tuple(Answer(name, "word " * 150) for name in systems))
    (found,) = explain(ready, version, "helpfulness", item, replies(judges, values))
    return found


@pytest.fixture(scope="module")
def ready() -> PreparedCalibration:
    return prepared(plant(length_bias=0.05))


@pytest.mark.parametrize("system", ["system-1", "never seen"])
@pytest.mark.parametrize("seats", [[0], [0, 2, 4], [1, 1, 3, 5]])
def test_the_parts_add_up_to_the_score_that_was_answered(
    ready: PreparedCalibration, seats: list[int], system: str
) -> None:
    values = [2.0, 4.0, 3.0, 2.0][: len(seats)]
    found = one(ready, rubric(RubricKind.POINTWISE), [JUDGES[j] for j in seats], values, [system])
    said = replies([JUDGES[j] for j in seats], values)
    item = Item("q", (Answer(system, "word " * 150),))
    (score,) = score_grade(ready, rubric(RubricKind.POINTWISE), "helpfulness", item, said)
    assert found.total == pytest.approx(score.score)
    assert found.kept == pytest.approx(score.score)
    assert found.start + sum(part.points for part in found.parts) == pytest.approx(found.total)
    assert sum(abs(part.weight) for part in found.parts) == pytest.approx(1)


@pytest.mark.parametrize("higher", [True, False])
def test_a_verdict_moved_by_a_point_moves_the_score_by_its_weight(higher: bool) -> None:
    ready, version = prepared(plant(higher_is_better=higher)), rubric(RubricKind.POINTWISE, higher)
    judges = [JUDGES[0], JUDGES[2], JUDGES[4]]
    before = one(ready, version, judges, [3, 3, 3], ["system-1"])
    slopes = []
    for k in range(3):
        values = [3.0, 3.0, 3.0]
        values[k] += 1
        after = one(ready, version, judges, values, ["system-1"])
        slopes.append(after.total - before.total)
        others = [(a.points, b.points) for a, b in zip(after.parts, before.parts, strict=True)]
        assert all(a == pytest.approx(b) for j, (a, b) in enumerate(others) if j != k)
    weights = np.array([part.weight for part in before.parts])
    np.testing.assert_allclose(np.array(slopes) / np.abs(slopes).sum(), weights)
    assert min(slopes) > 0


def test_of_a_pair_the_parts_are_shares_of_wins_and_add_up() -> None:
    found = one(
        prepared(plant_pairs()), rubric(RubricKind.PAIRWISE), [JUDGES[0], JUDGES[2], JUDGES[4]], [1, 1, -1],
        ["system-0", "system-3"],
    )  # fmt: skip
    assert found.start + sum(part.points for part in found.parts) == pytest.approx(found.total)
    assert [part.value for part in found.parts] == [1.0, 1.0, 0.0]
    assert 0 <= found.kept <= 1


def test_a_judge_that_the_calibration_does_not_know_counts_only_where_no_other_sat(
    ready: PreparedCalibration,
) -> None:
    version = rubric(RubricKind.POINTWISE)
    both = one(ready, version, [JUDGES[0], STRANGER], [2, 5], ["system-1"])
    assert (both.parts[1].weight, both.parts[1].points) == (None, None)
    assert both.total == pytest.approx(one(ready, version, [JUDGES[0]], [2], ["system-1"]).total)
    alone = one(ready, version, [STRANGER], [5], ["system-1"])
    assert alone.parts[0].weight == pytest.approx(1)
    assert alone.start + alone.parts[0].points == pytest.approx(alone.total)


def test_a_sum_beyond_the_scale_is_kept_within_it(ready: PreparedCalibration) -> None:
    high = one(ready, rubric(RubricKind.POINTWISE), list(JUDGES), [50.0] * 6, ["system-5"])
    assert high.total > 5
    assert high.kept == 5


def test_without_anchors_the_sum_is_on_the_judges_own_scale() -> None:
    world = plant()
    empty = {"h_unit": np.zeros(0, np.int32), "h_value": np.zeros(0), "h_annotator": np.zeros(0, np.int32)}
    bare = replace(world, evidence=replace(world.evidence, **empty, h_inclusion=np.zeros(0)))
    ready = prepared(bare)
    found = one(ready, rubric(RubricKind.POINTWISE), [JUDGES[0], JUDGES[3]], [2, 4], ["system-1"])
    assert found.start + sum(part.points for part in found.parts) == pytest.approx(found.total)
    assert found.start == pytest.approx(ready.points(ready.model["panel"]["consensus_mean"]))


def test_nothing_is_explained_where_nobody_said_anything(ready: PreparedCalibration) -> None:
    item = Item("q", (Answer("system-1", "word"),))
    assert explain(ready, rubric(RubricKind.POINTWISE), "helpfulness", item, []) == ()
