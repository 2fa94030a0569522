"""GET /rankings, its page and ``venire rankings``, on a project with planted qualities."""

import asyncio
import shutil
from datetime import UTC, datetime

import pytest

from app.domain.rubrics import RubricKind
from app.storage.database import Database
from app.storage.projects import get_or_create_project
from tests.cli.commands import said, venire
from tests.reporting.projects import calibrate, judged_project
from tests.running_service import POINTWISE, running_service

ASK = {"rubric": "support", "criterion": "quality"}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def _build(url: str) -> None:
    async with Database(url) as db:
        project = await get_or_create_project(db, now=NOW)
        await judged_project(db, project.id, NOW, kind=RubricKind.PAIRWISE)
        await calibrate(db, project.id, NOW)


@pytest.fixture(scope="module")
def service(_migrated_sqlite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rankings")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    asyncio.run(_build(f"sqlite:///{folder / 'venire.db'}"))
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running, running.client() as client:
        client.put("/rubrics/alone", json=POINTWISE)
        yield running


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def test_a_ranking_has_every_system_and_every_pair_with_n_and_intervals(client):
    response = client.get("/rankings", params=ASK)
    assert response.status_code == 200
    table = response.json()
    assert [row["rank"] for row in table["rows"]] == [1, 2, 3, 4, 5]
    assert table["refusals"] == table["parts"] == []
    assert table["calibration_id"].startswith("c_")
    for row in table["rows"]:
        assert row["rank_interval"][0] <= row["rank"] <= row["rank_interval"][1]
        assert row["n_anchors"] > 0
    assert len(table["pairs"]) == 10
    assert 0 <= table["tie_rate"] < 1


def test_what_cannot_be_ranked_is_told_with_its_place(client):
    for params, place in (
        ({"rubric": "alone", "criterion": "helpfulness"}, "query.rubric"),
        ({**ASK, "level": 2}, "query.level"),
        ({"rubric": "support"}, "query.criterion"),
    ):
        response = client.get("/rankings", params=params)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        assert [one["path"] for one in response.json()["errors"]] == [place]
    assert client.get("/rankings", params={**ASK, "rubric": "no"}).status_code == 404


def test_the_page_shows_what_the_data_says(client):
    table = client.get("/rankings", params=ASK).json()
    page = client.get("/ui/rankings")  # the first rubric that judges pairs
    assert page.status_code == 200
    for row in table["rows"]:
        assert f'<th scope="row">{row["system"]}</th>' in page.text
        assert f"{row['win_rate']:.3f}" in page.text
    assert "Every pair" in page.text
    assert f"{table['pairs'][0]['n_anchors']} graded" in page.text
    assert "/rankings?rubric=support" in page.text


def test_the_command_prints_the_ranking_and_its_pairs(service):
    about = ("--rubric", "support", "--criterion", "quality")
    done = venire("rankings", *about, "--json", url=service.url)
    assert done.returncode == 0
    assert [row["rank"] for row in said(done)["rows"]] == [1, 2, 3, 4, 5]
    text = venire("rankings", *about, "--pairs", url=service.url).stdout
    assert text.index("bot-4") < text.index("bot-0")
    assert "against" in text
    assert (
        venire("rankings", "--rubric", "alone", "--criterion", "helpfulness", url=service.url).returncode == 1
    )


def test_how_judges_rank_is_told_where_it_is_asked_for(client, service):
    assert client.get("/rankings", params=ASK).json()["by_judges"] is None
    found = client.get("/rankings", params={**ASK, "judges": True}).json()["by_judges"]
    assert [row["rank"] for row in found["rows"]] == [1, 2, 3, 4, 5]
    assert {one["judge"] for one in found["judges"]} == {"judge-0", "judge-1", "judge-2"}
    assert all(one["n_verdicts"] == 200 for one in found["judges"])
    assert found["refusals"] == []
    page = client.get("/ui/rankings", params={**ASK, "judges": "true"}).text
    assert "By the judges alone" in page
    assert "First place adds" in page
    assert "By the judges alone" not in client.get("/ui/rankings", params=ASK).text
    done = venire("rankings", "--rubric", "support", "--criterion", "quality", "--judges", url=service.url)
    assert "by judges" in done.stdout
    assert "first place adds" in done.stdout
