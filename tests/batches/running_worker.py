"""A worker in a process of its own, which can be stopped, frozen and killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.running_service import ROOT


@dataclass
class WorkerProcess:
    """``venire worker`` with its settings."""

    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """As a crash would: no signal handler runs."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 60) -> int:
        """Ask it to end, and wait until it has; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


def start_worker(environment: Mapping[str, str]) -> WorkerProcess:
    """A worker; whoever starts it ends it."""
    command = [sys.executable, "-c", "from app.bootstrap import command_line; command_line()", "worker"]
    settings = {**os.environ, "VENIRE_LOG_LEVEL": "warning", **environment}
    return WorkerProcess(subprocess.Popen(command, cwd=ROOT, env=settings, text=True))


@contextlib.contextmanager
def worker_process(environment: Mapping[str, str]) -> Iterator[WorkerProcess]:
    """A worker for a while; terminated at the end unless it was killed."""
    worker = start_worker(environment)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait(10)
