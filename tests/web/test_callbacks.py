import contextlib
import hmac
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.grading.callbacks import sign
from tests.running_service import POINTWISE, running_service
from tests.web.conftest import answers


@dataclass
class Receiver:
    """Takes callbacks on this machine; the first ``refuse`` of them get 503, all after ``takes_s``."""

    url: str = ""
    refuse: int = 0
    takes_s: float = 0.0
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def wait(self, count: int) -> None:
        until = time.monotonic() + 60
        while len(self.heard) < count:
            assert time.monotonic() < until, f"{len(self.heard)} of {count} callbacks came"
            time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
            time.sleep(receiver.takes_s)
            self.send_response(503 if len(receiver.heard) <= receiver.refuse else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook?x=1"
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(_migrated_sqlite, tmp_path, monkeypatch):
    """Where a service keeps its data; failed callbacks are tried again after 0.1 s, three times."""
    monkeypatch.setattr("app.grading.callbacks.RETRY_AFTER", (timedelta(seconds=0.1),) * 3)
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    return tmp_path


@pytest.fixture
def impatient(folder):
    """A service on that folder."""
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as service:
        yield service


def grade(client, url: str, **more: Any) -> dict[str, Any]:
    client.put("/rubrics/point", json=POINTWISE)
    body = {"rubric": "point", "prompt": "How?", "answers": answers(1), "callback_url": url, **more}
    return client.post("/grade", json=body).json()


def test_the_finished_grade_is_delivered_and_its_signature_proves_who_sent_it(service, client, receiver):
    begun = grade(client, receiver.url, wait=False)
    receiver.wait(1)
    headers, body = receiver.heard[0]
    delivered = json.loads(body)
    assert delivered == client.get(f"/grades/{begun['grade_id']}").json()
    secret = client.get("/project/callback-secret").json()["secret"]
    parts = dict(part.split("=", 1) for part in headers["venire-signature"].split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, "sha256").hexdigest()
    assert hmac.compare_digest(parts["v1"], expected)
    assert abs(int(parts["t"]) - time.time()) < 60


def test_a_callback_that_was_refused_is_tried_again_until_it_is_taken(impatient, receiver):
    receiver.refuse = 2
    with impatient.client() as client:
        grade(client, receiver.url)
        receiver.wait(3)
        time.sleep(0.5)
    assert len(receiver.heard) == 3


def test_a_callback_that_is_never_taken_is_given_up(impatient, receiver):
    receiver.refuse = 99
    with impatient.client() as client:
        grade(client, receiver.url)
        receiver.wait(4)
        time.sleep(0.6)
    assert len(receiver.heard) == 4


def test_a_callback_survives_a_restart(folder, receiver):
    receiver.refuse = 1
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as service, service.client() as client:
        grade(client, receiver.url)
        receiver.wait(1)
    with running_service({"VENIRE_DATA_DIR": str(folder)}):
        receiver.wait(2)


def test_a_service_that_stops_notes_what_became_of_a_callback_under_way(folder, receiver):
    receiver.takes_s = 1.0
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as service, service.client() as client:
        grade(client, receiver.url)
        receiver.wait(1)
    with contextlib.closing(sqlite3.connect(folder / "venire.db")) as database:
        rows = database.execute("SELECT attempts, due_at, delivered_at IS NULL FROM callbacks").fetchall()
    assert rows == [(1, None, False)]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "example.org",
        "http://",
        "https://u:p@example.org",
        "http://x:99999999/",
    ],
)
def test_addresses_that_are_no_http_are_refused(client, url):
    body = {"rubric": "point", "prompt": "How?", "answers": answers(1), "callback_url": url}
    response = client.post("/grade", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["path"] == "body.callback_url"


def test_a_signature_is_the_documented_one():
    at = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    expected = hmac.new(b"secret", b'1795341600.{"a":1}', "sha256").hexdigest()
    assert sign("secret", b'{"a":1}', at) == f"t=1795341600,v1={expected}"
