"""GET /label-plan: a guess before anybody graded, a plan after."""

import time

import pytest

from tests.web.pages.planted import POINTWISE, pointwise, table

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
    assert {one["system"]: one["half_width"] for one in plan["systems"]} == pytest.approx(halves)
    assert plan["half_width"] == pytest.approx(sum(halves.values()) / len(halves))
    assert sum(one["share"] for one in plan["systems"]) == pytest.approx(1)
    means = [step["mean_half_width"] for step in plan["steps"]]
    assert means == sorted(means, reverse=True)
    assert means[0] < plan["half_width"]
    assert plan["steps"][0]["cost_usd"] == 25 * 1.5
    assert plan["needed"] is None or plan["needed_cost_usd"] == plan["needed"] * 1.5
    assert client.get("/label-plan", params={**ABOUT, "criterion": "wit"}).status_code == 404
