"""The provider server in a process of its own: ``python -m tests.provider_server --port 9000``."""

import argparse
import asyncio
import contextlib
import signal
import sys

from tests.provider_server.server import serving


async def _serve(host: str, port: int, models: tuple[str, ...], keep: int) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with serving(models, host=host, port=port, keep=keep) as provider:
        sys.stdout.write(f"listening on {provider.url('')}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.provider_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed")
    parser.add_argument("--models", default="", help="names for /v1/models, separated by spaces")
    parser.add_argument("--keep", type=int, default=200, help="how many calls are kept to be looked at")
    given = parser.parse_args()
    run = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    run(_serve(given.host, given.port, tuple(given.models.split()), given.keep))


if __name__ == "__main__":
    main()
