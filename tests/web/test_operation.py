from tests.web.conftest import answers


def test_health_needs_no_key_and_says_whether_judges_are_simulated(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready == {"status": "ready", "judges": 6, "families": 3, "simulated": True}


def test_metrics_count_requests_seats_and_what_is_under_way(client, ask):
    for k in range(3):
        ask(prompt=f"How {k}?")
    client.get("/nowhere")
    text = client.get("/metrics").text
    assert 'venire_requests_total{method="POST",route="/grade",status="200"}' in text
    assert 'venire_requests_total{method="GET",route="(none)",status="404"}' in text
    assert 'outcome="scored"' in text
    for name in (
        *("venire_request_seconds_bucket", "venire_judge_attempts_total", "venire_cost_usd_total"),
        *("venire_grades_in_flight 0.0", "venire_grades_waiting 0.0", "venire_fit_seconds"),
    ):
        assert name in text, name


def test_judges_are_listed_with_family_versions_and_recent_health(client, ask):
    for k in range(4):
        ask(prompt=f"Why {k}?", panel={"judges_per_family": 2})
    page = client.get("/judges").json()
    assert [judge["name"] for judge in page["items"]] == [
        *("alder-1", "alder-2", "birch-1", "birch-2", "cedar-1", "cedar-2")
    ]
    for judge in page["items"]:
        assert judge["family"] == judge["name"][:-2]
        assert (judge["enabled"], judge["on_roster"], judge["simulated"]) == (True, True, True)
        (version,) = judge["versions"]
        assert version["current"]
        assert version["health"]["calls"] >= 4
        assert version["verdicts"] >= 4
        assert 0 <= version["health"]["unscored_rate"] <= 1
    first = client.get("/judges", params={"limit": 4}).json()
    second = client.get("/judges", params={"limit": 4, "cursor": first["next_cursor"]}).json()
    assert [*first["items"], *second["items"]] == page["items"]
    assert second["next_cursor"] is None


def test_the_projects_rules_are_read_and_changed_one_by_one(client):
    before = client.get("/project").json()
    assert before["panel"] == {"min_families": 3, "forbid_own_model": True, "exclude_own_family": False}
    assert before["simulated"]
    changed = client.patch("/project", json={"panel": {"min_families": 2}}).json()
    assert changed["panel"] == {**before["panel"], "min_families": 2}
    assert any("fewer than three" in warning for warning in changed["warnings"])
    assert client.patch("/project", json={"panel": {"min_families": 3}}).json() == before
    assert client.patch("/project", json={"panel": {"min_families": 0}}).status_code == 422
    assert client.patch("/project", json={"pannel": {}}).status_code == 422
    assert client.patch("/project", json={"limits": {"requests_per_minute": True}}).status_code == 422


def test_the_projects_limits_are_read_and_changed_one_by_one(client):
    nothing = {"requests_per_minute": None, "tokens_per_minute": None, "usd_per_day": None}
    assert client.get("/project").json()["limits"] == nothing
    limits = {"requests_per_minute": 300, "usd_per_day": 20}
    assert client.patch("/project", json={"limits": limits}).json()["limits"] == {**nothing, **limits}
    assert client.get("/budget").json()["today"]["limit_usd"] == 20
    changed = client.patch("/project", json={"limits": {"tokens_per_minute": 9000}}).json()["limits"]
    assert changed == {**nothing, **limits, "tokens_per_minute": 9000}
    assert client.patch("/project", json={"limits": nothing}).json()["limits"] == nothing
    assert client.patch("/project", json={"limits": {"requests_per_minute": 0}}).status_code == 422
    assert client.get("/limits").json() == []


def test_a_crash_inside_is_a_500_that_tells_nothing(service, client, monkeypatch):
    async def crash(*_: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(service.app.state.services.grading, "get", crash)
    response = client.get("/grades/g_0000000000000")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text


def test_nothing_of_a_prompt_is_logged(service, client, ask, capfd):
    ask(prompt="hush-hush", answers=[{"system": "a", "text": "whisper"}])
    ask(422, prompt="hush-hush", answers=answers(3))
    said = "".join(capfd.readouterr())
    assert "hush" not in said
    assert "whisper" not in said
