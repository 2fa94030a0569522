"""Batches that end once a comparison is decided: the order, the looks, and the whole over HTTP."""

import json
from random import Random

import numpy as np
import pytest

from app.batches.stopping import RandomOrder, first_state, rule_of, so_far, with_rule
from app.domain.batches import BatchOptions
from app.domain.items import Answer, Item
from app.domain.problems import BadInput
from app.domain.rubrics import Criterion, Rubric, RubricKind, RubricVersion, Scale
from app.domain.stopping import ScoresCompared, StopRule
from app.grading.requests import GradeRequest
from app.stats.betting import begin, see
from tests.batches.conftest import request, results, send, until, wait_for
from tests.batches.running_worker import worker_process

RULE = StopRule("old", "new")


def rubric(kind=RubricKind.POINTWISE, **more):
    criterion = Criterion("c", "d", Scale(1, 5), **more)
    return {"r": RubricVersion(1, 1, Rubric("r", kind, "Judge.", (criterion,)))}


def asked(prompt, *systems):
    return GradeRequest("r", Item(prompt, tuple(Answer(system, "So.") for system in systems)))


def lines(count, *systems):
    """A line per prompt and system."""
    every = [asked(f"Question {k}?", system) for k in range(count) for system in systems]
    return list(enumerate(every, 1))


async def settled(rule, found, versions):
    order = RandomOrder(rule)
    order.add(found)
    return order, await order.settle(None, None, versions, 5)


async def test_prompts_come_in_random_order_whole_and_all_of_them():
    found = lines(150, "old", "new", "third")
    order, rule = await settled(RULE, found, rubric())
    assert (rule.prompts, rule.rubric, rule.criterion, rule.points) == (150, "r", "c", 4.0)
    chunks = list(order.chunks(rule.seed))
    assert sorted(number for chunk in chunks for number, _ in chunk) == [number for number, _ in found]
    of_chunk = [{asked.item.prompt for _, asked in chunk} for chunk in chunks]
    assert sum(map(len, of_chunk)) == 150  # no prompt is parted
    assert all(20 <= len(chunk) <= 200 for chunk in chunks[:-1])
    drawn = [asked.item.prompt for chunk in chunks for _, asked in chunk][::3]
    expected = [f"Question {k}?" for k in range(150)]
    Random(rule.seed).shuffle(expected)
    assert drawn == expected


async def test_what_cannot_decide_a_comparison_is_refused():
    async def problem(rule, found, versions=None):
        with pytest.raises(BadInput) as caught:
            await settled(rule, found, versions or rubric())
        return caught.value.problems[0]

    assert "no prompt" in (await problem(RULE, lines(3, "old", "third"))).problem
    assert (await problem(StopRule("old", "old"), lines(3, "old"))).path == "stop_when.candidate"
    too_wide = StopRule("old", "new", margin=4.0)  # of a scale from 1 to 5
    assert (await problem(too_wide, lines(3, "old", "new"))).path == "stop_when.margin"
    pairs = [(1, asked("Q?", "old", "third")), (2, asked("Q?", "third", "new"))]
    assert "in one request" in (await problem(RULE, pairs, rubric(RubricKind.PAIRWISE))).problem
    unknown = StopRule("old", "new", criterion="x")
    assert (await problem(unknown, lines(3, "old", "new"))).path == "stop_when.criterion"


async def test_the_whole_scale_is_turned_where_lower_is_better():
    _, rule = await settled(RULE, lines(3, "old", "new"), rubric(higher_is_better=False))
    assert rule.points == -4.0
    _, rule = await settled(RULE, [(1, asked("Q?", "new", "old"))], rubric(RubricKind.PAIRWISE))
    assert (rule.points, rule.pairs, rule.prompts) == (1.0, True, 1)


def test_the_rule_comes_back_from_a_batches_options():
    rule = StopRule("old", "new", criterion="c", margin=0.2, scores=ScoresCompared.CALIBRATED, seed=9)
    options = with_rule(BatchOptions(more={"other": 1}), rule)
    kept = BatchOptions(more=json.loads(json.dumps(dict(options.more))))
    assert rule_of(kept) == rule
    assert kept.more["other"] == 1
    assert rule_of(BatchOptions()) is None


def test_findings_are_those_of_comparisons():
    def found(mean, margin=0.0, points=4.0, n=400):
        rule = StopRule("old", "new", margin=margin, points=points, prompts=n)
        noise = 0.03 * np.random.default_rng(1).standard_normal(n)
        return so_far(rule, see(begin(level=0.95, total=None), (1 + mean + noise) / 2))

    assert found(0.1).finding == "better"
    assert found(-0.1).finding == "worse"
    assert found(0.0).finding == "inconclusive"
    assert found(0.0, margin=0.4).finding == "equivalent"
    assert found(0.05, margin=0.8).finding == "equivalent"  # there, and too small to matter
    upside_down = found(0.1, points=-4.0)
    assert upside_down.finding == "better"
    assert upside_down.interval[1] < 0  # in the criterion's own points, where lower is better
    nothing = so_far(RULE, begin(level=0.95, total=10))
    assert (nothing.finding, nothing.difference, nothing.interval) == ("inconclusive", None, (-1.0, 1.0))


def test_a_difference_of_rounding_is_none():
    values = np.tile([0.4, 0.6], 50)
    rule = StopRule("old", "new", prompts=100)
    assert so_far(rule, see(begin(level=0.95, total=100), values)).finding == "inconclusive"
    assert len(first_state(rule)) > 0


def pair_of(k, **more):
    """Lines of one prompt; the simulated judges find longer answers of these systems alike."""
    base = request(k, **more)
    texts = {"old": "No.", "new": "Press the round button for ten seconds, then wait. " * 6}
    return [{**base, "answers": [{"system": name, "text": text}]} for name, text in texts.items()]


def body(count, **more):
    every = [json.dumps(one) for k in range(count) for one in pair_of(k, **more)]
    return "\n".join(every).encode()


def test_a_batch_ends_once_its_comparison_is_decided(serve, settings):
    service = serve()
    rule = {"baseline": "old", "candidate": "new", "margin": 3.9}
    with service.client() as client:
        checked = send(client, body(3), expect=200, dry_run=True, stop_when=json.dumps(rule))
        assert checked["items"] == 6
        for wrong, path in (
            ("{", "stop_when"),
            ("{}", "stop_when.baseline"),
            ('{"baseline": "old", "candidate": "none"}', "stop_when"),
            ('{"baseline": "old", "candidate": "new", "level": 2}', "stop_when.level"),
            ('{"baseline": "old", "candidate": "new", "scores": "calibrated"}', "stop_when.scores"),
        ):
            refused = send(client, body(3), expect=422, stop_when=wrong)
            assert refused["errors"][0]["path"] == path
        at_providers = send(client, body(3), expect=422, stop_when=json.dumps(rule), mode="batch")
        assert at_providers["errors"][0]["path"] == "query.stop_when"
        sent = send(client, body(600), stop_when=json.dumps(rule), first=1)
        assert sent["comparison"] == {
            "baseline": "old", "candidate": "new", "criterion": "helpfulness", "level": 0.95, "margin": 3.9,
            "scores": "raw", "population": "these_units", "calibration_id": None,
            "seed": sent["comparison"]["seed"], "prompts": 600, "seen": 0, "missing": 0, "difference": None,
            "interval": None, "finding": "inconclusive",
        }  # fmt: skip
        with worker_process(settings):
            ended = wait_for(client, sent, "decided", "done")
        assert ended["status"] == "decided"  # no difference can be as large as the whole scale
        found = ended["comparison"]
        assert found["finding"] in ("equivalent", "better", "worse")
        assert found["interval"][0] <= found["difference"] <= found["interval"][1]
        assert 0 < found["seen"] < 600
        assert "decided:" in ended["stop_reason"]
        assert ended["saved"]["decided"] > 0
        settled_items = 1200 - ended["counts"]["left"]
        per_item = ended["counts"]["calls"] / settled_items
        assert ended["saved"]["decided"] == pytest.approx(ended["counts"]["left"] * per_item, abs=1)
        graded = results(client, ended)
        sides = {"old": {}, "new": {}}
        for one in graded[: 2 * found["seen"]]:
            grade = one["grade"]
            scores = [
                seat["scores"]["helpfulness"]
                for seat in grade["seats"]
                if seat["stage"] == 1 and seat["scores"] is not None
            ]
            sides[grade["systems"][0]][grade["item_id"]] = np.mean(scores) if scores else np.nan
        differences = [sides["new"][item] - sides["old"][item] for item in sides["new"]]
        assert found["difference"] == pytest.approx(np.nanmean(differences))
        assert found["missing"] == int(np.isnan(differences).sum())
        order = [int(one["grade"]["item_id"].removeprefix("item-")) for one in graded[::2]]
        assert order != sorted(order)
        page = client.get(f"/ui/batches/{ended['batch_id']}").text
        assert "The comparison that ends it" in page
        assert client.post(f"/batches/{ended['batch_id']}/retry-failed").status_code == 409
        assert client.post(f"/batches/{ended['batch_id']}/resume").status_code == 409
        assert 'venire_batch_calls_saved{reason="decided"}' in client.get("/metrics").text


def test_a_comparison_that_cannot_be_decided_early_is_told_at_the_end(serve, settings):
    service = serve()
    rule = {"baseline": "one", "candidate": "two", "population": "stream", "level": 0.9999}
    pairs = [
        {**request(k), "answers": [{"system": name, "text": "The same."}]}
        for k in range(30)
        for name in ("one", "two")
    ]
    with service.client() as client, worker_process(settings):
        sent = send(client, "\n".join(map(json.dumps, pairs)).encode(), stop_when=json.dumps(rule))
        done = wait_for(client, sent, "done")
        url = f"/batches/{done['batch_id']}"
        until(lambda: client.get(url).json()["comparison"]["seen"] == 30)
        assert client.get(url).json()["comparison"]["finding"] == "inconclusive"
        assert done["saved"]["calls"] == 0
