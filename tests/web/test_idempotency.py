import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web.conftest import answers

BODY = {"rubric": "point", "prompt": "How?", "answers": answers(1)}


def test_the_same_key_and_body_gets_the_first_answer(client):
    headers = {"Idempotency-Key": "first"}
    first = client.post("/grade", json=BODY, headers=headers)
    again = client.post("/grade", json=BODY, headers=headers)
    assert again.json() == first.json()
    assert again.status_code == first.status_code == 200
    assert again.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


def test_the_same_key_with_another_body_or_address_conflicts(client):
    headers = {"Idempotency-Key": "other"}
    client.post("/grade", json=BODY, headers=headers)
    for response in (
        client.post("/grade", json={**BODY, "prompt": "Why?"}, headers=headers),
        client.post("/grade?x=1", json=BODY, headers=headers),
    ):
        assert response.status_code == 409
        assert "'other' was used with another request" in response.json()["detail"]


def test_an_accepted_grade_is_accepted_once(client):
    headers = {"Idempotency-Key": "accepted"}
    body = {**BODY, "wait": False}
    first, again = (client.post("/grade", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["location"] == first.headers["location"]


def test_after_a_refused_request_the_key_is_free_again(client):
    headers = {"Idempotency-Key": "refused"}
    assert client.post("/grade", json={**BODY, "rubric": "none"}, headers=headers).status_code == 404
    assert client.post("/grade", json=BODY, headers=headers).status_code == 200


def test_repeats_at_the_same_moment_get_one_answer_and_one_grade(service, client):
    barrier = threading.Barrier(8)

    def send(_: int) -> str:
        with service.client() as one:
            barrier.wait()
            response = one.post("/grade", json=BODY, headers={"Idempotency-Key": "together"})
            assert response.status_code == 200, response.text
            return response.json()["grade_id"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_unusable_key_is_refused(client, key):
    response = client.post("/grade", json=BODY, headers={"Idempotency-Key": key})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_a_repeated_upload_is_the_same_whatever_its_boundary():
    import asyncio
    import io

    from app.web.idempotency import _spool

    def fingerprint(boundary: bytes, chunk: int) -> str:
        part = b'Content-Disposition: form-data; name="file"\r\n\r\na,b\r\n'
        body = b"--" + boundary + b"\r\n" + part + b"--" + boundary + b"--\r\n"
        chunks = [body[k : k + chunk] for k in range(0, len(body), chunk)]
        messages = [{"body": part, "more_body": k < len(chunks) - 1} for k, part in enumerate(chunks)]
        stream = iter(messages)

        async def receive():
            return next(stream)

        scope = {
            "method": "POST",
            "path": "/anchors",
            "query_string": b"",
            "headers": [(b"content-type", b"multipart/form-data; boundary=" + boundary)],
        }
        spooled = io.BytesIO()
        digest = asyncio.run(_spool(scope, receive, spooled))
        assert spooled.read() == body
        return digest

    prints = {fingerprint(b, chunk) for b in (b"aaaaaaaa", b"----xyz-12345") for chunk in (1, 3, 7, 10_000)}
    assert len(prints) == 1
