"""``venire contributions``: a grade's calibrated score, verdict by verdict."""

from random import Random
from typing import Any

import httpx2
import pytest

from tests.cli.commands import RUBRIC, said, venire, write_csv


def graded(client: httpx2.Client, item: int, system: str) -> dict[str, Any]:
    """One answer, graded by the service's simulated judges."""
    request = {"rubric": "weighed", "item_id": f"w{item}", "prompt": f"Question {item}?"}
    answers = [{"system": system, "text": f"{system} says {item}."}]
    answered = client.post("/grade", json={**request, "answers": answers})
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


def test_what_each_verdict_was_worth_adds_up_or_there_is_no_score_to_tell_of(url, tmp_path):
    rng, rows = Random(5), []
    with httpx2.Client(base_url=url, timeout=60) as client:
        assert client.put("/rubrics/weighed", json=RUBRIC).status_code == 201
        for item in range(24):
            for system in ("good", "bad"):
                raw = graded(client, item, system)["raw"]["helpfulness"]["mean"]
                score = round(min(max(raw - (system == "bad") + rng.gauss(0, 0.4), 1), 5))
                about = {"item_id": f"w{item}", "prompt": f"Question {item}?", "system": system}
                rows.append(about | {"answer": f"{system} says {item}.", "annotator": "kim",
                                     "annotator_type": "expert", "score": score})  # fmt: skip
        before = graded(client, 90, "good")["grade_id"]
        file = write_csv(tmp_path / "people.csv", rows)
        done = venire("anchors", "upload", file, "--rubric", "weighed", "--set", "weighed", url=url)
        assert done.returncode == 0, done.stderr
        assert venire("calibrate", "--rubric", "weighed", "--wait", url=url).returncode == 0
        after = graded(client, 91, "good")
    done = venire("contributions", after["grade_id"], "--json", url=url)
    assert done.returncode == 0, done.stderr
    (score,) = said(done)["scores"]
    counted = [one for one in score["parts"] if one["points"] is not None]  # a judge may have no weight
    assert score["total"] == pytest.approx(score["start"] + sum(one["points"] for one in counted))
    assert score["kept"] == pytest.approx(after["calibrated"]["helpfulness"]["score"])
    told = venire("contributions", after["grade_id"], url=url).stdout
    assert all(one["judge"] in told for one in score["parts"])
    assert all(f"{one['points']:+.2f}" in told for one in counted)
    assert f"{score['total']:.2f}" in told
    nothing = venire("contributions", before, url=url)
    assert (nothing.returncode, nothing.stdout) == (3, "")
    assert "no calibrated score" in nothing.stderr
    assert venire("contributions", "g_nothing", url=url).returncode == 1
