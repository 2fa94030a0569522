"""A short version of benchmarks/fault_storm.py, on each kind of database."""

from pathlib import Path

import pytest

from tests.batches.storm import Storm, run
from tests.batches.test_crashes import database_of
from tests.provider_server.fixture import provider_process

STORM = Storm(items=120, dead_s=2.0, away_s=2.0)


@pytest.mark.timeout(900)  # on a busy machine the breaker's cooldowns add up
def test_a_job_comes_out_of_a_storm_whole(settings: dict[str, str], tmp_path: Path) -> None:
    with provider_process() as provider:
        outcome = run(STORM, provider, tmp_path, database_of(settings, tmp_path))
    assert outcome.check(STORM) == [], outcome
