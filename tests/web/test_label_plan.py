"""GET /label-plan: a guess before anybody graded, a plan after."""

import time

import pytest

from tests.web.pages.planted import LANGUAGES, POINTWISE, SYSTEMS, pointwise, table

ABOUT = {"rubric": "support", "criterion": "helpfulness"}


def test_a_plan_is_a_guess_until_there_is_a_calibration_and_then_rests_on_it(client):
    assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
    guess = client.get("/label-plan", params=ABOUT).json()
    assert (guess["assumed"], guess["half_width"], guess["steps"]) == (True, None, [])
    verdicts, grades = pointwise()
    for path, rows, more in (("/verdicts", verdicts, {}), ("/anchors", grades, {"anchor_set": "people"})):
        files = {"file": ("rows.csv", table(rows), "text/csv")}
        assert client.post(path, data={"rubric": "support", **more}, files=files).status_code < 300
    until = time.monotonic() + 90
    while time.monotonic() < until:
        plan = client.get("/label-plan", params={**ABOUT, "cost_per_grade": 1.5}).json()
        if not plan["assumed"]:
            break
        time.sleep(0.2)
    assert plan["assumed"] is False
    table_now = client.get("/quality", params={**ABOUT, "by": "system"}).json()["rows"]
    halves = {row["system"]: (row["interval"][1] - row["interval"][0]) / 2 for row in table_now}
    assert {one["system"]: one["half_width"] for one in plan["rows"]} == pytest.approx(halves)
    assert plan["half_width"] == pytest.approx(sum(halves.values()) / len(halves))
    assert sum(one["share"] for one in plan["rows"]) == pytest.approx(1)
    means = [step["mean"]["half_width"] for step in plan["steps"]]
    assert means == sorted(means, reverse=True)
    assert means[0] < plan["half_width"]
    assert plan["steps"][0]["cost_usd"] == 25 * 1.5
    assert plan["needed"] is None or plan["needed_cost_usd"] == plan["needed"] * 1.5
    for step in plan["steps"]:
        assert step["mean"]["low"] < step["mean"]["half_width"] < step["mean"]["high"]
    assert plan["needed_low"] <= plan["needed"]
    assert client.get("/label-plan", params={**ABOUT, "criterion": "wit"}).status_code == 404
    strata_are_planned_too(client)
    the_page_tells_it(client, plan)


def strata_are_planned_too(client):
    """A twentieth of the width asks for more than the answers there are, and a wide target for none."""
    by = {"by": ["system", "stratum.language"]}
    plan = client.get("/label-plan", params={**ABOUT, **by, "target": 0.25}).json()
    assert {(row["system"], row["strata"]["language"]) for row in plan["rows"]} == {
        (system, language) for system in SYSTEMS for language in LANGUAGES
    }
    assert sum(row["share"] for row in plan["rows"]) == pytest.approx(1)
    for row in plan["rows"]:
        there = row["half_width"] is not None and row["half_width"] <= 0.25
        assert (row["reach"] == "reached") == there
        assert row["n_anchors"] + row["ungraded"] == 20  # 60 prompts in three languages
    narrow = client.get("/label-plan", params={**ABOUT, **by, "target": 0.02}).json()["rows"]
    assert {row["reach"] for row in narrow} <= {"too_few_answers", "not_by_grades"}
    assert all(row["needed"] > row["ungraded"] for row in narrow if row["reach"] == "too_few_answers")
    for endless in ({"target": "inf"}, {"cost_per_grade": "inf"}):
        assert client.get("/label-plan", params={**ABOUT, **endless}).status_code == 422, endless
    wrong = client.get("/label-plan", params={**ABOUT, "by": "mood"})
    assert wrong.status_code == 422
    assert "mood" in wrong.text


def the_page_tells_it(client, plan):
    of = {"of": "support/helpfulness"}
    page = client.get("/ui/annotate/-/plan", params={**of, "by": ["system", "stratum.language"]})
    assert page.status_code == 200
    assert page.text.count("<tr>") == 2 + len(plan["steps"]) + len(SYSTEMS) * len(LANGUAGES)
    assert ("A range, not a number" in page.text) or ("About" in page.text)
    waiting = f"Only {sum(row['ungraded'] for row in plan['rows'])} answers wait"
    assert waiting in client.get("/ui/annotate/-/plan", params={**of, "target": 0.15}).text
    assert waiting not in client.get("/ui/annotate/-/plan", params={**of, "target": 0.22}).text
    assert "This cannot be planned" in client.get("/ui/annotate/-/plan", params={**of, "by": "mood"}).text
