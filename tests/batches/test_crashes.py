"""A short version of benchmarks/kill_batches.py: one job through a few crashes, on each kind of database."""

import signal
from pathlib import Path

import pytest

from tests.batches.killing import Job, run
from tests.provider_server.fixture import provider_process


def database_of(settings: dict[str, str], folder: Path) -> str:
    """The database of `settings`."""
    return settings.get("VENIRE_DATABASE_URL", f"sqlite:///{folder / 'venire.db'}")


POSTGRESQL = pytest.mark.postgresql
KILLED = Job(items=150, blows=4, workers=2, budget_usd=5.0)
TERMINATED = Job(items=100, blows=1, how=signal.SIGTERM, service_too=False)
FROZEN = Job(items=150, blows=1, workers=2, how=signal.SIGSTOP, service_too=False)


@pytest.mark.timeout(900)  # it starts a dozen processes, on machines that may be busy
@pytest.mark.parametrize(
    "settings, job",
    [
        pytest.param("sqlite", KILLED, id="killed on SQLite"),
        pytest.param("postgresql", KILLED, id="killed on PostgreSQL", marks=POSTGRESQL),
        pytest.param("sqlite", TERMINATED, id="terminated on SQLite"),
        pytest.param("postgresql", FROZEN, id="frozen on PostgreSQL", marks=POSTGRESQL),
    ],
    indirect=["settings"],
)
def test_a_job_keeps_its_promises_whatever_happens_to_its_workers(
    job: Job, settings: dict[str, str], tmp_path: Path
) -> None:
    with provider_process() as provider:
        outcome = run(job, provider, tmp_path, database_of(settings, tmp_path))
    assert outcome.check(job) == [], outcome
    assert outcome.blows >= 1
