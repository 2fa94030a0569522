"""More grades at once than the service works on: who waits too long is told so, within its own time."""

from pathlib import Path

from tests.running_service import POINTWISE, running_service
from tests.web.conftest import answers
from tests.web.test_serve import slow


def test_a_grade_whose_turn_does_not_come_in_its_time_ends_as_timeouts_without_a_call(tmp_path: Path):
    settings = slow(tmp_path, latency_ms=6000)
    settings["VENIRE_MAX_GRADES_IN_FLIGHT"] = "1"
    with running_service(settings) as service, service.client() as client:
        client.put("/rubrics/point", json=POINTWISE)
        body = {"rubric": "point", "prompt": "How?", "answers": answers(1)}
        first = client.post("/grade", json={**body, "wait": False}).json()
        late = client.post("/grade", json={**body, "timeout_s": 0.5})
        assert late.status_code == 502
        grade = late.json()["grade"]
        assert grade["status"] == "failed"
        assert len(grade["seats"]) == 3
        for seat in grade["seats"]:
            assert (seat["unscored"]["reason"], seat["attempts"]) == ("timeout", 0)
            assert "turn did not come within 0.5 s" in seat["unscored"]["detail"]
        assert client.get(f"/grades/{grade['grade_id']}").json()["seats"] == grade["seats"]
        assert 'venire_unscored_total{reason="timeout"} 3.0' in client.get("/metrics").text
        turn = client.post("/grade", json=body).json()
        assert turn["status"] == "complete"
        assert client.get(f"/grades/{first['grade_id']}").json()["status"] == "complete"
