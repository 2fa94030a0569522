"""The process in which one fit runs: evidence and seed on standard input, the result on standard output.

A process of its own keeps the service's event loop free, and a fit can be stopped, or run out of
memory, without taking the service with it.
"""

import asyncio
import os
import pickle
import sys
from pathlib import Path

from app.calibration.calibrate import Computed, FitBroke, compute
from app.storage.evidence import Evidence

_ROOT = Path(__file__).resolve().parents[2]
_LAST_WORDS = 2_000  # characters of what a broken fit printed
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


async def compute_in_a_process(evidence: Evidence, seed: int) -> Computed:
    """`compute` in a child process on one core, which ends with it; cancelling kills the child.

    Raises
    ------
    FitBroke
        If the child failed or was killed.
    """
    path = os.pathsep.join(p for p in (str(_ROOT), os.environ.get("PYTHONPATH", "")) if p)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.calibration.worker",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(_THREADS, "1")},
    )  # fmt: skip
    question = await asyncio.to_thread(pickle.dumps, (evidence, seed), pickle.HIGHEST_PROTOCOL)
    try:
        answer, complaint = await child.communicate(question)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise FitBroke(_how(child.returncode or 0, complaint.decode(errors="replace")))
    result: Computed = await asyncio.to_thread(pickle.loads, answer)
    return result


def _how(code: int, complaint: str) -> str:
    if code < 0:
        return f"the fit was killed by signal {-code}; most often the machine ran out of memory"
    return f"the fit broke: {complaint.strip()[-_LAST_WORDS:]}"


def main() -> None:
    """Answer one question and end."""
    os.nice(5)
    evidence, seed = pickle.load(sys.stdin.buffer)
    pickle.dump(compute(evidence, seed=seed), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
