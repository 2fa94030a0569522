import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running_service import LISTWISE, PAIRWISE, POINTWISE, RunningService, running_service


@pytest.fixture(scope="module")
def service(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with the simulated roster on an empty SQLite file; shared by a module's tests."""
    folder = tmp_path_factory.mktemp("service")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: RunningService) -> Iterator[httpx2.Client]:
    """A client on this machine, while there are no keys; the rubrics point, pair and list are there."""
    with service.client() as client:
        for name, rubric in {"point": POINTWISE, "pair": PAIRWISE, "list": LISTWISE}.items():
            assert client.put(f"/rubrics/{name}", json=rubric).status_code == 201
        yield client


@pytest.fixture
def ask(client: httpx2.Client) -> Callable[..., dict[str, Any]]:
    """Grade something and return the answer's body."""

    def grade(expect: int = 200, **request: Any) -> dict[str, Any]:
        body = {"rubric": "point", "prompt": "How?", "answers": answers(1), **request}
        response = client.post("/grade", json=body)
        assert response.status_code == expect, response.text
        answered: dict[str, Any] = response.json()
        return answered

    return grade


def answers(count: int) -> list[dict[str, str]]:
    """That many answers of different systems."""
    return [{"system": f"bot-{k}", "text": f"Do {k} things."} for k in range(count)]
