"""A service of the demo's own: a process on a free port, with its own folder for data."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from app.cli.errors import CannotRun

MARK = "this-is-a-venire-demo"
LOG = "service.log"
_START = "from app.command import main; main()"
_READY_S = 120.0


def empty_folder(folder: Path) -> None:
    """Make the demo's folder, or empty the one of an earlier demo.

    Raises
    ------
    CannotRun
        If there is anything else in it: only what a demo made is wiped.
    """
    if folder.exists() and not folder.is_dir():
        raise CannotRun(f"{folder} is a file; name another folder: --dir")
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise CannotRun(f"{folder} holds something that no demo made; name another folder: --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("Everything in this folder is a simulation and is wiped by the next demo.\n")


@contextlib.contextmanager
def own_service(
    folder: Path, environment: Mapping[str, str], *, port: int, judges: Path | None
) -> Iterator[str]:
    """``venire serve`` on its own folder; yields its address once it is ready, and ends it at the end."""
    port = port or _free_port()
    settings = {name: value for name, value in environment.items() if not name.startswith("VENIRE_")}
    settings |= {"VENIRE_DATA_DIR": str(folder.absolute()), "VENIRE_PORT": str(port)}
    settings |= {"VENIRE_LOG_LEVEL": "warning"}
    if judges is not None:
        settings["VENIRE_JUDGES"] = str(judges.absolute())
    signal.signal(signal.SIGTERM, _stop)  # so that the service ends with us
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", _START, "serve"], env=settings, stderr=log)
    try:
        _wait_until_ready(process, port, folder / LOG)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    import httpx2

    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            said = log.read_text("utf-8", "replace").strip()
            raise CannotRun(f"the demo's service did not start:\n{said[-4000:]}")
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise CannotRun(f"the demo's service was not ready after {_READY_S:.0f} s; see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def folder_of(environment: Mapping[str, str], default: str) -> Path:
    """Where the demo lives unless told: in a folder of its own beside the service's data."""
    return Path(environment.get("VENIRE_DATA_DIR") or default).expanduser() / "demo"
