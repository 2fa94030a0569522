import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import RUBRIC, graded_by_people, recorded, venire, write_csv
from tests.running_service import service_process


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with simulated judges, in a process of its own, and one rubric: help."""
    folder = tmp_path_factory.mktemp("service")
    with service_process({"VENIRE_DATA_DIR": str(folder / "data")}) as running:
        file = folder / "help.json"
        file.write_text(json.dumps(RUBRIC))
        done = venire("rubrics", "put", file, url=running.url)
        assert done.returncode == 0, done.stderr
        yield running.url


@pytest.fixture(scope="module")
def calibrated(url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with recorded verdicts of three systems, what people said of them, and a calibration."""
    folder = tmp_path_factory.mktemp("files")
    verdicts, people = (
        write_csv(folder / "v.csv", recorded()),
        write_csv(folder / "a.csv", graded_by_people()),
    )
    imported = venire("verdicts", "import", verdicts, "--rubric", "help", url=url)
    assert imported.returncode == 0, imported.stderr
    uploaded = venire("anchors", "upload", people, "--rubric", "help", "--set", "gold", url=url)
    assert uploaded.returncode == 0, uploaded.stderr
    done = venire("calibrate", "--rubric", "help", "--wait", url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    return url


@pytest.fixture
def rubric_file(tmp_path: Path) -> Path:
    """A rubric as a file."""
    path = tmp_path / "help.json"
    path.write_text(json.dumps(RUBRIC))
    return path
