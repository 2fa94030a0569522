"""The process in which fits run: evidence and seed on standard input, results on standard output.

A process of its own keeps the service's event loop free, and a fit can be stopped, or run out of
memory, without taking the service with it. It answers one question after the other, since starting
it costs more than a small fit.
"""

import asyncio
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from app.calibration.calibrate import Computed, FitBroke, compute
from app.storage.evidence import Evidence

_ROOT = Path(__file__).resolve().parents[2]
_LAST_WORDS = 2_000  # characters of what a broken fit printed
_LENGTH = 8  # bytes before every message
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class FitProcess:
    """Calls `compute` in a child process on one core; use as a context, which ends the child.

    The child starts with the first question. One question at a time.
    """

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._complaints: IO[bytes] | None = None

    async def __aenter__(self) -> "FitProcess":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def __call__(self, evidence: Evidence, seed: int) -> Computed:
        """Fit; cancelling kills the child.

        Raises
        ------
        FitBroke
            If the fit failed or the child was killed. The next question gets another child.
        """
        question = await asyncio.to_thread(pickle.dumps, (evidence, seed), pickle.HIGHEST_PROTOCOL)
        answered = False
        try:
            told, answer = await self._ask(question)
            answered = True
        except (asyncio.IncompleteReadError, ConnectionError):
            raise FitBroke(await self._last_words()) from None
        finally:
            if not answered:
                await self._end()
        if told != "done":
            raise FitBroke(f"the fit broke: {answer}")
        result: Computed = answer
        return result

    async def _ask(self, question: bytes) -> tuple[str, Any]:
        child = await self._started()
        assert child.stdin is not None  # both are pipes
        assert child.stdout is not None
        child.stdin.write(len(question).to_bytes(_LENGTH, "big") + question)
        await child.stdin.drain()
        size = int.from_bytes(await child.stdout.readexactly(_LENGTH), "big")
        told: tuple[str, Any] = await asyncio.to_thread(pickle.loads, await child.stdout.readexactly(size))
        return told

    async def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            await _to_its_end(self._start())
        assert self._child is not None
        return self._child

    async def _start(self) -> None:
        path = os.pathsep.join(p for p in (str(_ROOT), os.environ.get("PYTHONPATH", "")) if p)
        # A file, since a pipe that nobody reads would block the child; it lives as long as the child.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.calibration.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._complaints,
            env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(_THREADS, "1")},
        )  # fmt: skip

    async def _last_words(self) -> str:
        """How a child ended that should not have."""
        assert self._child is not None
        code = await self._child.wait()
        if code < 0:
            return f"the fit was killed by signal {-code}; most often the machine ran out of memory"
        complaint = ""
        if self._complaints is not None:
            self._complaints.seek(0)
            complaint = self._complaints.read().decode(errors="replace").strip()[-_LAST_WORDS:]
        return f"the fit's process ended early: {complaint}"

    async def _end(self) -> None:
        child, complaints = self._child, self._complaints
        self._child = self._complaints = None
        if child is not None and child.returncode is None:
            child.kill()
            await _to_its_end(child.wait())
        if child is not None and child.stdin is not None:
            child.stdin.close()
        if complaints is not None:
            complaints.close()


async def _to_its_end(work: Coroutine[Any, Any, Any]) -> None:
    """Wait for ``work`` also when cancelled meanwhile: no child may be left half started or half ended."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def main() -> None:
    """Answer questions until there are no more."""
    os.nice(5)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints beside the answers
    while head := sys.stdin.buffer.read(_LENGTH):
        question = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        answer = pickle.dumps(_answer(question), pickle.HIGHEST_PROTOCOL)
        answers.write(len(answer).to_bytes(_LENGTH, "big") + answer)
        answers.flush()


def _answer(question: bytes) -> tuple[str, Any]:
    try:
        evidence, seed = pickle.loads(question)
        return "done", compute(evidence, seed=seed)
    except Exception as error:
        traceback.print_exc()
        return "broke", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
