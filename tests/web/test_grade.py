import time
from itertools import pairwise

import httpx2
import pytest

from app.web.api.grade import GradeIn, GradeOut
from app.web.errors import ProblemDocument
from tests.web.conftest import answers


def test_an_answer_is_graded_by_one_judge_from_each_of_three_families(ask):
    grade = ask(strata={"language": "de"}, panel={"seed": 1})  # one with which every judge gives a verdict
    GradeOut.model_validate(grade)
    assert grade["status"] == "complete"
    assert {seat["family"] for seat in grade["seats"]} == {"alder", "birch", "cedar"}
    assert all(seat["inclusion_probability"] == 0.5 for seat in grade["seats"])
    scores = [seat["scores"]["helpfulness"] for seat in grade["seats"]]
    assert grade["raw"]["helpfulness"]["mean"] == pytest.approx(sum(scores) / 3)
    assert grade["raw"]["helpfulness"]["seats"] == 3
    assert grade["rubric_version"] == 1


def test_simulated_panels_are_marked_in_the_answer(ask):
    grade = ask()
    assert grade["simulated"] is True
    assert any("simulated" in warning for warning in grade["warnings"])


def test_without_a_calibration_the_answer_says_so_and_gives_no_score(ask):
    calibrated = ask()["calibrated"]["helpfulness"]
    assert (calibrated["score"], calibrated["interval"]) == (None, None)
    assert calibrated["status"] in ("judge_relative", "insufficient_anchors")
    assert calibrated["warnings"]


def test_a_pair_is_answered_by_preferences_and_orders_are_balanced(ask):
    grade = ask(rubric="pair", answers=answers(2), panel={"judges_per_family": 2})
    GradeOut.model_validate(grade)
    firsts = [seat["order"][0] for seat in grade["seats"]]
    assert sorted(firsts) == [0, 0, 0, 1, 1, 1]
    for seat in grade["seats"]:
        if seat["unscored"] is None:
            assert seat["scores"] is None
            assert seat["preference"]["helpfulness"] in ("first", "second", "tie")
    preference = grade["calibrated"]["helpfulness"]["preference"]
    assert (preference["first_system"], preference["second_system"]) == ("bot-0", "bot-1")


def test_a_list_is_answered_by_one_score_per_answer(ask):
    grade = ask(rubric="list", answers=answers(4))
    GradeOut.model_validate(grade)
    assert len(grade["raw"]["helpfulness"]) == 4
    assert len(grade["calibrated"]["helpfulness"]) == 4
    for seat in grade["seats"]:
        assert sorted(seat["order"]) == [0, 1, 2, 3]
        assert seat["unscored"] or len(seat["scores"]["helpfulness"]) == 4


def test_both_orders_give_each_judge_two_seats(ask):
    grade = ask(rubric="pair", answers=answers(2), panel={"both_orders": True})
    seats = [seat for seat in grade["seats"] if seat["replaces"] is None]
    assert len(seats) == 6
    for first, second in list(pairwise(seats))[::2]:
        assert first["judge"] == second["judge"]
        assert first["order"] == second["order"][::-1]


def test_a_seed_replays_the_panel(ask):
    first, second = (ask(panel={"seed": 4711}, prompt=f"How {k}?") for k in range(2))
    drawn = [
        [(s["judge"], s["order"]) for s in grade["seats"] if s["replaces"] is None]
        for grade in (first, second)
    ]
    assert drawn[0] == drawn[1]
    assert first["seed"] == second["seed"] == 4711


def test_a_grade_is_read_back_as_it_was_answered(client, ask):
    grade = ask(rubric="pair", answers=answers(2), item_id="ticket-1", context="c", reference="r")
    again = client.get(f"/grades/{grade['grade_id']}").json()
    assert again == grade


def test_without_waiting_the_grade_is_accepted_and_found_at_its_address(client):
    body = {"rubric": "point", "prompt": "How?", "answers": answers(1), "wait": False}
    response = client.post("/grade", json=body)
    assert response.status_code == 202
    assert response.json()["status"] == "pending"
    assert len(response.json()["seats"]) == 3
    url = response.headers["location"]
    until = time.monotonic() + 60
    while (grade := client.get(url).json())["status"] == "pending":
        assert time.monotonic() < until
        time.sleep(0.01)
    assert grade["status"] in ("complete", "partial")
    assert grade["seats"][0]["scores"] or grade["seats"][0]["unscored"]


def test_excluded_families_do_not_sit_and_change_the_probabilities(client, ask):
    grade = ask(422, panel={"exclude_families": ["alder"]})
    assert "2 families" in grade["detail"]
    assert client.patch("/project", json={"panel": {"min_families": 2}}).status_code == 200
    try:
        grade = ask(panel={"families": 2, "exclude_families": ["alder"]})
        assert {seat["family"] for seat in grade["seats"]} == {"birch", "cedar"}
        assert any("2 families" in warning for warning in grade["warnings"])
        own = [{"system": "bot", "family": "birch", "text": "x"}]
        grade = ask(answers=own, panel={"families": 2, "exclude_own_family": True})
        assert {seat["family"] for seat in grade["seats"]} == {"alder", "cedar"}
    finally:
        client.patch("/project", json={"panel": {"min_families": 3}})


def test_a_judge_does_not_grade_its_own_model_unless_the_project_allows_it(client, ask):
    own = [{"system": "bot", "model": "alder-1", "text": "x"}]
    for k in range(6):
        grade = ask(answers=own, prompt=f"How {k}?")
        alder = next(s for s in grade["seats"] if s["family"] == "alder" and s["replaces"] is None)
        assert (alder["judge"], alder["inclusion_probability"]) == ("alder-2", 1.0)
    client.patch("/project", json={"panel": {"forbid_own_model": False}})
    try:
        drawn = {ask(answers=own, panel={"seed": k})["seats"][0]["inclusion_probability"] for k in range(3)}
        assert drawn == {0.5}
    finally:
        client.patch("/project", json={"panel": {"forbid_own_model": True}})


def test_the_same_item_id_with_another_prompt_is_refused_by_name(ask):
    ask(item_id="ticket-7", prompt="one")
    problem = ask(409, item_id="ticket-7", prompt="two")
    assert "ticket-7" in problem["detail"]


def problems_of(response: httpx2.Response) -> dict[str, str]:
    assert response.headers["content-type"] == "application/problem+json"
    document = ProblemDocument.model_validate(response.json())
    assert document.status == response.status_code
    return {one.path or "": one.problem for one in document.errors}


def test_a_bad_request_names_every_problem_at_once_with_its_place_and_value(client):
    body = {
        "rubrik": "point",
        "prompt": "",
        "answers": [{"system": "a", "text": 3}, {"system": "", "txt": "x"}],
        "panel": {"families": 0, "seed": -1},
        "timeout_s": 0,
        "callback_url": "ftp://example.org",
        "max_cost_usd": "much",
    }
    response = client.post("/grade", json=body)
    assert response.status_code == 422
    problems = problems_of(response)
    assert problems["body.rubric"] == "this field is required"
    assert problems["body.rubrik"] == "there is no such field"
    assert problems["body.callback_url"] == "must be a full http:// or https:// address"
    expected = {
        *("body.rubric", "body.rubrik", "body.prompt", "body.answers[0].text", "body.answers[1].system"),
        *("body.answers[1].text", "body.answers[1].txt", "body.panel.families", "body.panel.seed"),
        *("body.timeout_s", "body.callback_url", "body.max_cost_usd"),
    }
    assert problems.keys() == expected
    values = {one["path"]: one.get("value") for one in response.json()["errors"]}
    assert values["body.max_cost_usd"] == "much"


def test_an_offending_value_is_shown_as_json_and_not_in_the_words_of_our_language(client):
    body = {"rubric": "point", "prompt": "?", "answers": {"text": None, "é": True}}
    (error,) = client.post("/grade", json=body).json()["errors"]
    assert error["value"] == '{"text": null, "é": true}'
    headers = {"content-type": "application/json"}
    (error,) = client.post("/grade", content=b'{"rubric": ', headers=headers).json()["errors"]
    assert error["value"] == '{"rubric": '


def test_what_the_rubric_does_not_allow_is_named_at_once(client):
    body = {
        "rubric": "point",
        "prompt": "?",
        "answers": answers(2),
        "panel": {"both_orders": True, "families": 2},
    }
    problems = problems_of(client.post("/grade", json=body))
    assert problems.keys() == {"body.answers", "body.panel.both_orders", "body.panel.families"}
    body = {"rubric": "pair", "prompt": "?", "answers": [answers(1)[0]] * 2}
    assert "same answer" in problems_of(client.post("/grade", json=body))["body.answers[1]"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b"", {"content-type": "application/json"}, 400),
        (b"\xff\xfe", {"content-type": "application/json"}, 400),
        (b'{"prompt": "\\ud800"}', {"content-type": "application/json"}, 400),
        (b"[]", {"content-type": "application/json"}, 422),
        (b"null", {"content-type": "application/json"}, 422),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {}, 415),
        (b" " * 4_000_001, {"content-type": "application/json"}, 413),
    ],
)
def test_a_body_that_cannot_be_read_is_a_clear_client_error(client, content, headers, status):
    response = client.post("/grade", content=content, headers=headers)
    assert response.status_code == status, response.text
    problems_of(response)


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client):
    def chunks():
        for _ in range(50):
            yield b" " * 100_000

    response = client.post("/grade", content=chunks(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    problems_of(response)


def test_an_unknown_rubric_or_grade_is_not_found(client, ask):
    assert ask(404, rubric="none")["type"] == "/problems/not-found"
    for unknown in ("g_0000000000000", "nonsense", "c_0000000000000"):
        response = client.get(f"/grades/{unknown}")
        assert response.status_code == 404
        problems_of(response)


def test_unknown_addresses_and_methods_are_problems_too(client):
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/grade", 405), ("GET", "/grade", 405)):
        response = client.request(method, path)
        assert response.status_code == status
        problems_of(response)
        assert status != 405 or "POST" in response.headers["allow"]


def test_nul_characters_are_refused_in_words(client, ask):
    problem = ask(422, prompt="a\x00b")
    assert problem["errors"][0]["problem"] == "must not hold a NUL character"


def test_the_example_of_every_field_is_valid():
    example = {name: field.examples[0] for name, field in GradeIn.model_fields.items() if field.examples}
    GradeIn.model_validate(example)


def test_a_panel_in_two_stages_asks_the_others_by_chance_and_says_with_which(ask, client):
    seen = set()
    for seed in range(40):
        grade = ask(panel={"seed": seed, "stages": {"first": 2}}, item_id=f"staged-{seed}")
        GradeOut.model_validate(grade)
        second = grade["second_stage"]
        assert 0.2 <= second["chance"] <= 1
        assert second["seats"] == 1
        stages = [seat["stage"] for seat in grade["seats"] if seat["replaces"] is None]
        assert stages == ([1, 1, 2] if second["asked"] else [1, 1])
        assert not any("families" in warning for warning in grade["warnings"])  # it was drawn from three
        assert client.get(f"/grades/{grade['grade_id']}").json() == grade
        page = client.get(f"/ui/grades/{grade['grade_id']}").text
        assert "Second stage" in page
        seen.add(second["asked"])
    assert seen == {True, False}
    assert ask()["second_stage"] is None


def test_stages_that_cannot_be_are_refused(ask):
    refused = ask(422, panel={"stages": {"first": 3}})
    assert refused["errors"][0]["path"] == "body.panel.stages.first"
    for stages in ({}, {"first": 0}, {"first": 1, "least_chance": 0}, {"first": 1, "wide": 0}):
        assert ask(422, panel={"stages": stages})["errors"]
