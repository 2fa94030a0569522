import pytest

from tests.running_service import POINTWISE

CRITERION = POINTWISE["criteria"][0]


def test_changed_content_makes_a_new_version_and_the_same_content_does_not(client):
    first = client.put("/rubrics/tone", json=POINTWISE)
    same = client.put("/rubrics/tone", json=POINTWISE)
    changed = client.put("/rubrics/tone", json={**POINTWISE, "instructions": "Judge the tone."})
    assert (first.status_code, same.status_code, changed.status_code) == (201, 200, 201)
    assert [r.json()["version"] for r in (first, same, changed)] == [1, 1, 2]
    assert client.get("/rubrics/tone").json() == changed.json()
    assert client.get("/rubrics/tone/versions/1").json() == first.json()
    assert [v["version"] for v in client.get("/rubrics/tone/versions").json()["items"]] == [1, 2]


def test_a_grade_uses_the_newest_version_at_once(client, ask):
    client.put("/rubrics/fresh", json=POINTWISE)
    assert ask(rubric="fresh")["rubric_version"] == 1
    client.put("/rubrics/fresh", json={**POINTWISE, "instructions": "Other words."})
    assert ask(rubric="fresh")["rubric_version"] == 2


def test_labels_stand_for_one_two_three(client, ask):
    rubric = {**POINTWISE, "criteria": [{**CRITERION, "scale": {"labels": ["poor", "fair", "good"]}}]}
    scale = client.put("/rubrics/labelled", json=rubric).json()["criteria"][0]["scale"]
    assert scale == {"min": 1.0, "max": 3.0, "step": 1.0, "labels": ["poor", "fair", "good"]}
    for seat in ask(rubric="labelled")["seats"]:
        assert seat["unscored"] or seat["scores"]["helpfulness"] in (1, 2, 3)


def test_lists_are_paged_by_cursor(client):
    names = [f"paged-{k}" for k in range(5)]
    for name in names:
        client.put(f"/rubrics/{name}", json=POINTWISE)
    seen, cursor, pages = [], None, 0
    while True:
        params = {"limit": 2} if cursor is None else {"limit": 2, "cursor": cursor}
        page = client.get("/rubrics", params=params).json()
        seen += [rubric["name"] for rubric in page["items"]]
        pages += 1
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == sorted(seen)
    assert set(names) < set(seen)
    assert pages == (len(seen) + 1) // 2


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": "%%%"}])
def test_a_bad_page_is_refused(client, params):
    response = client.get("/rubrics", params=params)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_unknown_rubrics_and_versions_are_not_found(client):
    for path in ("/rubrics/none", "/rubrics/none/versions", "/rubrics/point/versions/99"):
        assert client.get(path).status_code == 404
    assert client.get("/rubrics/point/versions/0").status_code == 422


@pytest.mark.parametrize(
    ("scale", "problem"),
    [
        ({}, "give min and max, or labels"),
        ({"min": 1}, "give min and max, or labels"),
        ({"min": 5, "max": 1}, "min must be less than max"),
        ({"min": 1, "max": 5, "labels": ["a", "b"]}, "give either labels, or min, max and step"),
        ({"labels": ["a", "a"]}, "labels must differ from each other"),
        ({"min": 0, "max": 1, "step": 0.3}, "step must divide the distance from min to max"),
        ({"min": 0, "max": 1, "step": 1e-9}, "at most 1001 values"),
    ],
)
def test_a_scale_that_makes_no_sense_is_refused_in_words(client, scale, problem):
    rubric = {**POINTWISE, "criteria": [{**CRITERION, "scale": scale}]}
    response = client.put("/rubrics/bad", json=rubric)
    assert response.status_code == 422
    assert problem in response.json()["errors"][0]["problem"]
    assert response.json()["errors"][0]["path"] == "body.criteria[0].scale"


def test_a_continuous_scale_is_allowed(client):
    rubric = {**POINTWISE, "criteria": [{**CRITERION, "scale": {"min": 0, "max": 1, "step": None}}]}
    assert client.put("/rubrics/continuous", json=rubric).json()["criteria"][0]["scale"]["step"] is None


def test_criteria_need_different_names(client):
    response = client.put("/rubrics/bad", json={**POINTWISE, "criteria": [CRITERION, CRITERION]})
    assert "different names; twice: helpfulness" in response.json()["errors"][0]["problem"]
