"""Embeddings over real HTTP; the local model is tried where it is installed."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from app.domain.problems import BadInput
from app.judges import embeddings
from app.judges.embeddings import EndpointEmbeddings, LocalEmbeddings, open_embeddings


class Endpoint(BaseHTTPRequestHandler):
    """Vectors that count vowels, in reverse order with their indices; its first answers are ``failures``."""

    failures: ClassVar[list[int]] = []
    keys: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.keys.append(self.headers.get("authorization", ""))
        status = self.failures.pop(0) if self.failures else 200
        rows = [
            {"index": k, "embedding": [1 + text.count(vowel) for vowel in "aeiou"]}
            for k, text in enumerate(asked["input"])
        ]
        body = {"data": rows[::-1]} if asked["model"] == "vowels" else {"data": [{"index": 0}]}
        sent = json.dumps(body if status == 200 else {"error": "busy"}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(embeddings, "_WAIT_S", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    Endpoint.failures, Endpoint.keys = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_vectors_come_in_the_order_of_the_texts_and_of_length_one(url):
    texts = [f"{'a' * k} e" for k in range(150)]
    found = await EndpointEmbeddings(url, "vowels", "secret").vectors(texts)
    assert found.shape == (150, 5)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.all(np.diff(found[:, 0]) > 0)
    assert Endpoint.keys == ["Bearer secret"] * 3


async def test_a_busy_endpoint_is_asked_again_and_a_refusal_is_not(url):
    Endpoint.failures = [503, 429]
    assert (await EndpointEmbeddings(url, "vowels", None).vectors(["a"])).shape == (1, 5)
    Endpoint.failures = [401, 401]
    with pytest.raises(BadInput) as refused:
        await EndpointEmbeddings(url, "vowels", "secret").vectors(["a"])
    assert Endpoint.failures == [401]
    assert "401" in refused.value.problems[0].problem
    assert "secret" not in refused.value.problems[0].problem


async def test_an_answer_without_vectors_is_refused(url):
    with pytest.raises(BadInput):
        await EndpointEmbeddings(url, "nonsense", None).vectors(["a"])


def test_a_model_is_opened_by_where_it_is(tmp_path):
    assert open_embeddings("", "m", None) is None
    assert isinstance(open_embeddings("https://example.org/v1", "m", None), EndpointEmbeddings)
    assert isinstance(open_embeddings(str(tmp_path), "m", None), LocalEmbeddings)


async def test_the_local_model_finds_what_says_the_same():
    folder = os.environ.get("VENIRE_TEST_EMBEDDINGS")
    if not folder:
        pytest.skip(
            "no local model; name a folder with model.onnx and tokenizer.json in VENIRE_TEST_EMBEDDINGS"
        )
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    texts = [
        "Is breakfast included?",
        "Do I pay extra for the morning meal?",
        "My bicycle squeals in the rain.",
    ]
    found = await LocalEmbeddings(Path(folder)).vectors(texts)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2
