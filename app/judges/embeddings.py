"""Models that put texts of like meaning near each other: on this machine, or OpenAI-compatible."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from app.domain.problems import BadInput, Problem

Vectors = NDArray[np.float32]

_AT_ONCE = 64  # texts of one request; of one pass of a local model an eighth
_LETTERS = 8_000  # of a text that are sent: models read no further
_TOKENS = 256
_TRIES, _TIMEOUT_S, _WAIT_S = 4, 60.0, 1.0


class EndpointEmbeddings:
    """``POST {base_url}/embeddings``, as OpenAI, Ollama, vLLM, llama.cpp and others answer it."""

    def __init__(self, base_url: str, model: str, key: str | None) -> None:
        self.name = model
        self._url = f"{base_url.rstrip('/')}/embeddings"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """(n, d), of length 1.

        Raises
        ------
        BadInput
            If the endpoint gives none: its own words, without the key.
        """
        parts: list[Vectors] = []
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S, headers=self._headers) as http:
            for start in range(0, len(texts), _AT_ONCE):
                some = [text[:_LETTERS] or " " for text in texts[start : start + _AT_ONCE]]
                parts.append(await self._ask(http, some))
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)

    async def _ask(self, http: httpx2.AsyncClient, texts: Sequence[str]) -> Vectors:
        said = ""
        for attempt in range(_TRIES):
            try:
                answer = await http.post(self._url, json={"model": self.name, "input": list(texts)})
            except httpx2.TransportError as error:
                said = str(error) or type(error).__name__
            else:
                if answer.status_code == 200:
                    return _read(answer.json(), len(texts))
                said = f"status {answer.status_code}: {answer.text[:300]}"
                if answer.status_code not in (408, 409, 429) and answer.status_code < 500:
                    break
            if attempt + 1 < _TRIES:
                await asyncio.sleep(_WAIT_S * 2**attempt)
        raise BadInput("The embeddings endpoint gave no vectors.", [Problem(said, path="VENIRE_EMBEDDINGS")])


class LocalEmbeddings:
    """A sentence model in a folder with ``model.onnx`` and ``tokenizer.json``, as MiniLM is handed on.

    Needs the extra ``similarity`` (onnxruntime, tokenizers); mean pooling over the last hidden state.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.resolve().name
        self._folder = folder
        self._loaded: tuple[Any, Any] | None = None

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """(n, d), of length 1, on one thread beside the event loop; BadInput if it cannot be loaded."""
        return await asyncio.to_thread(self._vectors, texts)

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        session, tokenizer = self._load()
        names = {one.name for one in session.get_inputs()}
        order = sorted(range(len(texts)), key=lambda k: len(texts[k]))  # like lengths together: less padding
        step = _AT_ONCE // 8
        found: Vectors | None = None
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            said = tokenizer.encode_batch([texts[k][:_LETTERS] for k in rows])
            mask = np.array([one.attention_mask for one in said], np.int64)
            given = {
                "input_ids": np.array([one.ids for one in said], np.int64),
                "attention_mask": mask,
                "token_type_ids": np.zeros_like(mask),
            }
            hidden = session.run(None, {name: given[name] for name in names})[0]
            pooled = (hidden * mask[:, :, None]).sum(1) / np.maximum(mask.sum(1), 1)[:, None]
            if found is None:
                found = np.zeros((len(texts), pooled.shape[1]), np.float32)
            found[rows] = _unit(pooled.astype(np.float32))
        return np.zeros((0, 1), np.float32) if found is None else found

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            try:
                from onnxruntime import InferenceSession, SessionOptions
                from tokenizers import Tokenizer
            except ImportError as error:
                problem = Problem(
                    "install the extra: pip install 'venire[similarity]'", path="VENIRE_EMBEDDINGS"
                )
                raise BadInput("The local model needs onnxruntime and tokenizers.", [problem]) from error
            options = SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = InferenceSession(str(self._folder / "model.onnx"), options)
            tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
            tokenizer.enable_truncation(_TOKENS)
            tokenizer.enable_padding()
            self._loaded = session, tokenizer
        return self._loaded


Embeddings = EndpointEmbeddings | LocalEmbeddings


def open_embeddings(where: str, model: str, key: str | None) -> Embeddings | None:
    """The model at an address or in a folder; None where neither is named."""
    if not where:
        return None
    if where.startswith(("http://", "https://")):
        return EndpointEmbeddings(where, model, key)
    return LocalEmbeddings(Path(where))


def _read(body: Any, wanted: int) -> Vectors:
    try:
        rows = sorted(body["data"], key=lambda one: one["index"])
        vectors = np.array([one["embedding"] for one in rows], np.float32)
    except (KeyError, TypeError, ValueError):
        vectors = np.zeros((0, 0), np.float32)
    if vectors.ndim != 2 or len(vectors) != wanted or not np.isfinite(vectors).all():
        problem = Problem("it did not answer one vector of numbers per text", path="VENIRE_EMBEDDINGS")
        raise BadInput("The embeddings endpoint gave no vectors.", [problem])
    return _unit(vectors)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
