"""Chunks that fell between our tables and the engine's are found and graded."""

import contextlib
import sqlite3

import pytest

from tests.batches.conftest import lines, send, wait_for
from tests.batches.running_worker import worker_process
from tests.running_service import POINTWISE, running_service


@pytest.mark.timeout(300)
def test_chunks_of_which_the_engine_knows_nothing_and_such_as_nobody_has_are_graded(tmp_path):
    settings = {"VENIRE_DATA_DIR": str(tmp_path)}
    with running_service(settings) as service, service.client() as client:
        client.put("/rubrics/point", json=POINTWISE)
        lost, taken = send(client, lines(5)), send(client, lines(900))
        with contextlib.closing(sqlite3.connect(tmp_path / "venire.db", isolation_level=None)) as ours:
            # As after the engine's tables were lost: handed over, as far as we know.
            ours.execute("UPDATE batch_chunks SET round = 1 WHERE items = 5")
            with worker_process(settings) as worker:
                while not client.get(f"/batches/{taken['batch_id']}").json()["counts"]["complete"]:
                    pass
                worker.kill()
            # As if nobody had ever heard of the worker that had these chunks.
            ours.execute("DELETE FROM workers")
        with worker_process(settings) as worker:
            wait_for(client, lost, "done")
            wait_for(client, taken, "done")
            assert worker.stop() == 0
