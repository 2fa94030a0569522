"""A PostgreSQL server of this run's own, which may be stopped and started: no other is touched."""

import contextlib
import glob
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.running_service import free_port


def programs() -> Path:
    """The folder of ``initdb`` and ``pg_ctl``.

    Raises
    ------
    SystemExit
        If there is none.
    """
    found = [
        path
        for path in (shutil.which("initdb"), *sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")))
        if path
    ]
    if not found:
        raise SystemExit("there is no initdb: install the PostgreSQL server")
    return Path(found[-1]).resolve().parent


@dataclass(frozen=True)
class PrivateServer:
    """A server in a folder. As it refuses to run as root, its processes then are the user ``postgres``'s."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server at once, as a crash would, and start it again: it recovers from its log."""
        self._control("stop", "--mode=immediate")
        try:
            yield
        finally:
            self.start()

    def make(self) -> None:
        """Make the cluster."""
        self._run("initdb", "--auth=trust", "--username=postgres", "--pgdata", str(self.folder / "data"))

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        self._control("start", "--options", options, "--log", str(self.folder / "log"))

    def stop(self) -> None:
        """Stop the server for good."""
        self._control("stop", "--mode=fast")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "--wait", "--timeout=300", "--pgdata", str(self.folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        command = [str(programs() / program), *arguments]
        subprocess.run(command, user=user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def private_server(folder: Path) -> Iterator[PrivateServer]:
    """A running server with its data in ``folder``, which is stopped at the end."""
    home = folder / "postgresql"
    home.mkdir()
    if os.geteuid() == 0:
        folder.chmod(0o755)
        shutil.chown(home, "postgres")
    server = PrivateServer(home, free_port())
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
