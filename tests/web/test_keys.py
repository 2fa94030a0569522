import shutil

import pytest

from tests.running_service import POINTWISE, running_service
from tests.web.conftest import answers


@pytest.fixture
def guarded(_migrated_sqlite, tmp_path):
    """A service of its own, for tests that make keys; and the first key, an admin's."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(tmp_path)}) as service:
        with service.client() as open_client:
            made = open_client.post("/keys", json={"name": "first", "scopes": ["admin"]})
            assert made.status_code == 201
        yield service, made.json()["key"]


def test_without_a_key_this_machine_acts_as_the_default_project(client):
    assert client.get("/project").json()["name"] == "default"


def test_once_there_is_a_key_nobody_passes_without_one(guarded):
    service, admin = guarded
    with service.client() as stranger, service.client(admin) as known:
        refused = stranger.get("/project")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["type"] == "/problems/unauthenticated"
        assert known.get("/project").status_code == 200
        assert stranger.get("/healthz").status_code == 200
        assert stranger.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer", "Basic abc", "Bearer nonsense", "Bearer vk0.x", "Bearer .", "x"]
)
def test_wrong_keys_are_refused_alike(guarded, header):
    service, _ = guarded
    with service.client() as client:
        response = client.get("/project", headers={"Authorization": header})
        assert response.status_code == 401


def test_an_altered_secret_is_refused(guarded):
    service, admin = guarded
    with service.client(admin[:-1] + ("A" if admin[-1] != "A" else "B")) as client:
        assert client.get("/project").json()["detail"] == "this key is not valid"


def test_scopes_are_held_to(guarded):
    service, admin = guarded
    with service.client(admin) as client:
        client.put("/rubrics/point", json=POINTWISE)
        keys = {
            scope: client.post("/keys", json={"name": scope, "scopes": [scope]}).json()["key"]
            for scope in ("grade", "read", "anchors")
        }
    body = {"rubric": "point", "prompt": "?", "answers": answers(1)}
    allowed = {
        ("grade", "POST", "/grade"): 200,
        ("read", "POST", "/grade"): 403,
        ("anchors", "POST", "/grade"): 403,
        ("read", "GET", "/rubrics"): 200,
        ("grade", "GET", "/rubrics"): 403,
        ("read", "GET", "/keys"): 403,
        ("read", "GET", "/metrics"): 200,
        ("grade", "PATCH", "/project"): 403,
    }
    for (scope, method, path), status in allowed.items():
        with service.client(keys[scope]) as client:
            content = (
                {"json": body} if method == "POST" else {"json": {"panel": {}}} if method == "PATCH" else {}
            )
            response = client.request(method, path, **content)
            assert response.status_code == status, (scope, method, path, response.text)
            assert status != 403 or "scope" in response.json()["detail"]


def test_a_key_is_shown_once_and_stored_only_as_a_hash(guarded, tmp_path):
    service, admin = guarded
    with service.client(admin) as client:
        made = client.post("/keys", json={"name": "pipeline", "scopes": ["grade", "read"]}).json()
        listed = client.get("/keys").json()["items"]
        assert [key["name"] for key in listed] == ["first", "pipeline"]
        assert all("key" not in key for key in listed)
        assert made["key"].startswith(made["prefix"] + ".")
        secret = made["key"].partition(".")[2].encode()
        for file in tmp_path.glob("venire.db*"):
            assert secret not in file.read_bytes()


def test_a_revoked_key_opens_nothing(guarded):
    service, admin = guarded
    with service.client(admin) as client:
        made = client.post("/keys", json={"name": "short", "scopes": ["read"]}).json()
        with service.client(made["key"]) as short:
            assert short.get("/project").status_code == 200
            assert client.delete(f"/keys/{made['id']}").status_code == 204
            assert short.get("/project").status_code == 401
        assert client.get("/keys").json()["items"][1]["revoked_at"] is not None
        assert client.delete("/keys/k_0000000000000").status_code == 404


def test_a_repeated_request_for_a_key_neither_makes_nor_shows_a_second(guarded):
    service, admin = guarded
    with service.client(admin) as client:
        body, headers = {"name": "once", "scopes": ["read"]}, {"Idempotency-Key": "k1"}
        assert client.post("/keys", json=body, headers=headers).status_code == 201
        again = client.post("/keys", json=body, headers=headers)
        assert again.status_code == 409
        assert "shown only once" in again.json()["detail"]
        assert [key["name"] for key in client.get("/keys").json()["items"]] == ["first", "once"]


def test_pages_of_other_sites_and_other_names_are_refused_while_there_is_no_key(client):
    assert client.get("/project", headers={"Host": "evil.example:8000"}).status_code == 403
    assert client.get("/project", headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.get("/project", headers={"Host": "localhost:1"}).status_code == 200


def test_requests_forwarded_for_other_machines_are_refused_while_there_is_no_key(client):
    response = client.get("/project", headers={"X-Forwarded-For": "203.0.113.9"})
    assert response.status_code == 403
    assert "only this machine" in response.json()["detail"]
