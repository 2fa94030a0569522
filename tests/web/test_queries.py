"""What a route does not know is refused, and every problem is named."""

from app.web.app import ROUTERS
from app.web.queries import StrictRoute


def test_unknown_parameters_are_named_together_with_what_else_is_wrong(client):
    response = client.get("/judges", params={"limt": 4, "colour": "blue", "limit": 0})
    assert response.status_code == 422
    problems = {one["path"]: one["problem"] for one in response.json()["errors"]}
    assert problems["query.limt"] == "there is no such parameter; did you mean limit?"
    assert "there are cursor, limit" in problems["query.colour"]
    assert "query.limit" in problems


def test_a_route_without_parameters_says_so(client):
    response = client.post("/grade", params={"wait": "false"}, json={})
    assert response.status_code == 422
    (problem,) = response.json()["errors"]
    assert problem["problem"] == "there is no such parameter; there are none here"
    assert problem["value"] == "false"


def test_parameters_of_a_routes_dependencies_are_known(client):
    assert client.get("/batches", params={"limit": 1, "status": "running"}).status_code == 200


def test_pages_take_what_mails_add_to_their_links(client):
    assert client.get("/ui/batches", params={"utm_source": "mail"}).status_code == 200


def test_a_family_that_the_roster_does_not_have_is_refused_in_a_grade_and_in_a_batch(client, ask):
    body = ask(422, panel={"families": 2, "exclude_families": ["aldr", "nobody"]})
    problems = {one["value"]: one for one in body["errors"] if one["path"] == "body.panel.exclude_families"}
    assert "did you mean alder?" in problems["aldr"]["problem"]
    assert "there are alder" in problems["nobody"]["problem"]
    assert any(one["path"] == "body.panel.families" for one in body["errors"])
    line = (
        b'{"rubric": "point", "prompt": "How?", "answers": [{"system": "bot", "text": "So."}], '
        b'"panel": {"exclude_families": ["nobody"]}}'
    )
    response = client.post("/batches", content=line, headers={"content-type": "application/x-ndjson"})
    assert response.status_code == 422
    (problem,) = response.json()["errors"]
    assert (problem["row"], problem["value"]) == (1, "nobody")


def test_every_route_of_the_api_is_strict():
    routes = [route for router in ROUTERS for route in router.routes]
    assert routes
    assert all(isinstance(route, StrictRoute) for route in routes)
