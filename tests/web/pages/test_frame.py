"""What holds for every page: headers, where it may be posted from, how errors look, who may see it."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.running_service import POINTWISE, RunningService, running_service
from tests.web.pages.planted import table

PAGES = ["/ui"] + [
    f"/ui/{name}"
    for name in (
        *("quality", "judges", "anchor-sets", "calibrations", "grades", "rubrics", "imports"),
        *("anchor-sets/upload", "nothing"),
    )
]


@pytest.fixture
def plain(service: RunningService) -> Iterator[httpx2.Client]:
    with service.client() as client:
        yield client


def test_the_root_leads_to_the_pages(plain: httpx2.Client) -> None:
    assert plain.get("/").headers["location"] == "/ui"
    assert plain.get("/ui/").headers["location"] == "/ui"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_lets_nothing_in_from_elsewhere(plain: httpx2.Client, path: str) -> None:
    response = plain.get(path)
    policy = response.headers["content-security-policy"]
    for part in (
        *("default-src 'none'", "style-src 'self'", "form-action 'self'"),
        *("frame-ancestors 'none'", "base-uri 'none'"),
    ):
        assert part in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"].startswith("text/html")
    assert "style=" not in response.text
    assert "<script" not in response.text


def test_a_form_that_lacks_something_is_told_what(plain: httpx2.Client) -> None:
    """A browser sends forms without files as another content type than scripts do."""
    refused = plain.post("/ui/annotate", data={"name": "", "rubric": "point", "anchor_set": "first"})
    assert refused.status_code == 422
    assert "body.name" in refused.text
    assert plain.post("/audits", data={"anchor_set": "first"}).status_code == 415  # where files are sent too


def test_an_empty_project_is_told_its_first_command(plain: httpx2.Client) -> None:
    text = plain.get("/ui").text
    assert "curl -s -X PUT http://127.0.0.1" in text
    assert "venire demo" in text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://elsewhere.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"},
    ],
)
def test_a_form_of_another_site_does_nothing(plain: httpx2.Client, headers: dict[str, str]) -> None:
    response = plain.post("/ui/calibrations", data={"rubric": "x"}, headers=headers)
    assert response.status_code == 403
    assert response.headers["content-type"].startswith("text/html")


def test_a_form_of_our_own_is_taken(plain: httpx2.Client, service: RunningService) -> None:
    response = plain.post("/ui/sign-out", headers={"origin": service.url, "sec-fetch-site": "same-origin"})
    assert response.status_code == 303


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/ui/judges/nobody", 404),
        ("GET", "/ui/grades/g_0000000000000", 404),
        ("GET", "/ui/calibrations/nonsense", 404),
        ("GET", "/ui/quality?rubric=none", 404),
        ("GET", "/ui/quality?level=7", 422),
        ("GET", "/ui/grades?cursor=!!", 422),
        ("DELETE", "/ui/rubrics", 405),
        ("POST", "/ui/anchor-sets/upload", 422),
    ],
)
def test_an_error_is_a_page_that_says_what_to_do(
    plain: httpx2.Client, method: str, path: str, status: int
) -> None:
    response = plain.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert "<h1>" in response.text
    assert "/ui" in response.text


@pytest.fixture(scope="module")
def locked(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with keys: ``app.state.tokens`` has one per scope."""
    folder = tmp_path_factory.mktemp("locked")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/point", json=POINTWISE).status_code == 201
            made = client.post("/keys", json={"name": "boss", "scopes": ["admin"]})
        tokens = {"admin": made.json()["key"]}
        with running.client(tokens["admin"]) as client:
            for scope in ("read", "grade", "anchors"):
                made = client.post("/keys", json={"name": scope, "scopes": [scope]})
                tokens[scope] = made.json()["key"]
        running.app.state.tokens = tokens
        yield running


def _signed_in(running: RunningService, scope: str) -> httpx2.Client:
    form = {"key": running.app.state.tokens[scope], "next": "/ui"}
    response = httpx2.post(f"{running.url}/ui/sign-in", data=form, timeout=30)
    assert response.status_code == 303
    client = running.client()
    client.cookies.set("venire_session", response.cookies["venire_session"])
    return client


def test_a_stranger_is_led_to_sign_in_and_back(locked: RunningService) -> None:
    with locked.client() as client:
        response = client.get("/ui/quality?rubric=point")
        assert response.status_code == 303
        assert response.headers["location"] == "/ui/sign-in?next=%2Fui%2Fquality%3Frubric%3Dpoint"
        assert client.get("/ui/static/venire.css").status_code == 200
        assert client.post("/ui/calibrations", data={"rubric": "point"}).status_code == 401


@pytest.mark.parametrize(
    "next_", ["https://elsewhere.example", "//elsewhere.example", "/ui\\..", "/uix", "/keys"]
)
def test_signing_in_never_leads_elsewhere(locked: RunningService, next_: str) -> None:
    with locked.client() as client:
        form = {"key": locked.app.state.tokens["read"], "next": next_}
        assert client.post("/ui/sign-in", data=form).headers["location"] == "/ui"


def test_a_session_opens_pages_only_and_ends_with_its_key(locked: RunningService) -> None:
    with locked.client(locked.app.state.tokens["admin"]) as boss:
        made = boss.post("/keys", json={"name": "short", "scopes": ["read"]}).json()
        locked.app.state.tokens["short"] = made["key"]
        with _signed_in(locked, "short") as client:
            assert client.get("/ui").status_code == 200
            assert client.get("/judges").status_code == 401
            assert made["key"].partition(".")[2] not in client.cookies["venire_session"]
            key_id = next(key for key in boss.get("/keys").json()["items"] if key["name"] == "short")
            boss.delete(f"/keys/{key_id['key_id' if 'key_id' in key_id else 'id']}")
            assert client.get("/ui").status_code == 303


def test_an_altered_or_overdue_session_opens_nothing(locked: RunningService) -> None:
    with _signed_in(locked, "read") as client:
        session = client.cookies["venire_session"]
        prefix, expires, proof = session.split("~")
        later = f"{int(expires, 16) + 1:x}"
        for altered in (
            f"{prefix}~{later}~{proof}",
            f"{prefix}~{expires}~{proof[:-1]}x",
            prefix,
            "~~",
            "x~y~z",
        ):
            client.cookies.clear()
            client.cookies.set("venire_session", altered)
            assert client.get("/ui").status_code == 303


def test_scopes_hold_on_pages(locked: RunningService) -> None:
    with _signed_in(locked, "read") as reader:
        assert reader.get("/ui/quality").status_code == 200
        assert reader.get("/ui/anchor-sets/upload").status_code == 403
        assert reader.post("/ui/calibrations", data={"rubric": "point"}).status_code == 403
    with _signed_in(locked, "anchors") as anchors:
        assert anchors.get("/ui/anchor-sets/upload").status_code == 200
    with _signed_in(locked, "grade") as grader:
        assert grader.get("/ui/quality").status_code == 403


def test_a_waiting_upload_is_guarded_and_its_download_runs_no_formulas(
    locked: RunningService,
) -> None:
    rows = [{"item_id": "q1", "prompt": "p", "system": "s", "annotator": "ann", "annotator_type": "expert",
             "score": "=1+1"}]  # fmt: skip
    with _signed_in(locked, "anchors") as client:
        form = {"rubric": "point", "anchor_set": "set"}
        sent = client.post("/ui/anchor-sets/upload", data=form, files={"file": ("f.csv", table(rows))})
        assert sent.status_code == 303
        waiting = sent.headers["location"]
        assert "Not ready." in client.get(waiting).text
        assert ",'=1+1" in client.get(f"{waiting}/problems.csv").text
        stored = client.post(waiting, data={"action": "store"})
        assert stored.headers["location"] == waiting  # all or nothing: it goes back to what is wrong
        for token in ("../../venire.db", "x" * 32, "..%2F..%2Fkey-pepper"):
            assert client.get(f"/ui/anchor-sets/upload/{token}").status_code in (403, 404)
    with locked.client(locked.app.state.tokens["read"]) as reader:
        assert reader.get("/anchor-sets").json()["items"] == []
        assert reader.get(waiting).status_code == 403


@pytest.mark.parametrize(
    "name, content",
    [
        ("empty.csv", b""),
        ("header.csv", b"item_id,score\n"),
        ("scan.pdf", b"%PDF-1.7"),
        ("noise.bin", b"\x00\xff\xfe"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(
    plain: httpx2.Client, name: str, content: bytes
) -> None:
    plain.put("/rubrics/point", json=POINTWISE)
    form = {"rubric": "point", "anchor_set": "set"}
    response = plain.post(
        "/ui/anchor-sets/upload", data=form, files={"file": (name, content)}, follow_redirects=True
    )
    assert response.status_code in (200, 422), response.text
    assert "Not taken." in response.text or "Not ready." in response.text


def test_an_old_waiting_upload_is_gone(plain: httpx2.Client, service: RunningService) -> None:
    plain.put("/rubrics/point", json=POINTWISE)
    form = {"rubric": "point", "anchor_set": "set"}
    sent = plain.post(
        "/ui/anchor-sets/upload", data=form, files={"file": ("f.csv", b"item_id,score\nq1,3\n")}
    )
    drafts = service.app.state.services.drafts
    (about,) = (path for path in drafts.folder.glob("*.json") if path.stem in sent.headers["location"])
    assert about.stat().st_mode & 0o077 == 0
    text = about.read_text()
    made = drafts.now() - timedelta(hours=7)
    about.write_text(text.replace(text.split('"created_at": "')[1].split('"')[0], made.isoformat()))
    assert plain.get(sent.headers["location"]).status_code == 404


def test_a_crash_is_a_page_that_tells_nothing_of_the_inside(
    plain: httpx2.Client, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.app.state.services, "roster_report", None)
    response = plain.get("/ui/judges")
    assert response.status_code == 500
    assert "Nothing that was stored is lost" in response.text
    assert "NoneType" not in response.text
