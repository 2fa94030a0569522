"""Workers that a service starts beside itself."""

import os
import signal

import httpx2

from tests.batches.conftest import lines, send, until, wait_for
from tests.running_service import POINTWISE, service_process


def pids(client: httpx2.Client) -> set[int]:
    return {worker["pid"] for worker in client.get("/workers").json()}


def test_a_worker_beside_the_service_is_replaced_when_it_dies_and_ends_with_it(tmp_path):
    settings = {"VENIRE_DATA_DIR": str(tmp_path), "VENIRE_WORKERS": "1"}
    with service_process(settings) as service, httpx2.Client(base_url=service.url, timeout=60) as client:
        client.put("/rubrics/point", json=POINTWISE)
        wait_for(client, send(client, lines(20)), "done")
        until(lambda: len(pids(client)) == 1)
        (first,) = pids(client)
        os.kill(first, signal.SIGKILL)
        until(lambda: bool(pids(client) - {first}))
        wait_for(client, send(client, lines(20)), "done")
        until(lambda: len(pids(client)) == 1)
        (second,) = pids(client)
        service.kill()
        until(lambda: not os.path.exists(f"/proc/{second}"))
