"""The whole service on a free port of this machine, for tests that speak HTTP."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import uvicorn
from fastapi import FastAPI

from app.bootstrap import build_app
from app.settings import read_settings

ROOT = Path(__file__).parents[1]
POINTWISE = {
    "kind": "pointwise",
    "instructions": "You judge answers of a support assistant.",
    "criteria": [
        {
            "name": "helpfulness",
            "description": "How far the answer solves the user's problem.",
            "scale": {"min": 1, "max": 5, "step": 1},
        }
    ],
}
PAIRWISE = {**POINTWISE, "kind": "pairwise"}
LISTWISE = {**POINTWISE, "kind": "listwise"}


@dataclass
class RunningService:
    """A service in a thread of this process; ``app.state.services`` has what is inside."""

    url: str
    app: FastAPI

    def client(self, key: str | None = None) -> httpx2.Client:
        """A client of the service; close it, or use it as a context."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30)


@contextlib.contextmanager
def running_service(environment: Mapping[str, str]) -> Iterator[RunningService]:
    """The service with these settings, in a thread; stopped and drained at the end."""
    app = build_app(read_settings({"VENIRE_LOG_LEVEL": "error", **environment}))
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="service")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield RunningService(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join(60)


@dataclass
class ServiceProcess:
    """A service in a process of its own, which can be killed."""

    url: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """As a crash would: no signal handler runs."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def service_process(environment: Mapping[str, str]) -> Iterator[ServiceProcess]:
    """``venire serve`` with these settings; terminated at the end unless it was killed."""
    port = free_port()
    command = [sys.executable, "-c", "from app.bootstrap import command_line; command_line()", "serve"]
    settings = {**os.environ, "VENIRE_LOG_LEVEL": "warning", **environment, "VENIRE_PORT": str(port)}
    process = subprocess.Popen(command, cwd=ROOT, env=settings, text=True, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield ServiceProcess(url, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def wait_until_ready(url: str, process: "subprocess.Popen[str]", seconds: float = 90) -> None:
    """Return once the service answers; RuntimeError with what it said if it stops before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the service stopped: {process.communicate()[1]}")
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/readyz", timeout=30).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError("the service did not become ready")
