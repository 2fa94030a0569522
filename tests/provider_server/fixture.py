"""Ways to have the provider server in a test or a benchmark."""

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.provider_server.server import Provider, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """The provider server on the test's own event loop; `Provider.calls` counts what reached it."""
    async with serving() as running:
        yield running


@contextlib.contextmanager
def provider_process(port: int = 0, keep: int = 200) -> Iterator[str]:
    """The provider server in its own process; its address, as ``http://127.0.0.1:PORT`` without a path."""
    command = [sys.executable, "-m", "tests.provider_server", "--port", str(port)]
    command += ["--keep", str(keep)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the provider server did not start: {line!r}")
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
