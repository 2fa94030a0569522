"""The invariance audit with judges that are asked over real HTTP, through the real SDKs."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.endtoend.rosters import judge, settings_for
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, running_service
from tests.web.pages.planted import table


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A service with one judge that never moves and one that follows every letter; 24 anchors with texts."""
    folder: Path = tmp_path_factory.mktemp("invariance")
    with provider_process() as provider:
        roster = [
            judge("rock", "stone", "openai", "rock,pick=middle", provider),
            judge("weathercock", "tin", "anthropic", "cock", provider),
        ]
        with running_service(settings_for(folder, roster)) as service, service.client() as client:
            assert client.put("/rubrics/point", json=POINTWISE).status_code == 201
            grades = [
                {"item_id": f"q{k}", "prompt": f"My big till shows {k}. It began so.\n\nWhy does it?"}
                | {"system": "bot", "answer": f"Wait {k} days. Maybe it stops.", "score": 3, "blind": "yes"}
                | {"annotator": "ann", "annotator_type": "expert", "criterion": "helpfulness"}
                for k in range(24)
            ]
            upload = client.post(
                "/anchors",
                files={"file": ("g.csv", table(grades))},
                data={"rubric": "point", "anchor_set": "shown"},
            )
            assert upload.status_code == 200, upload.text
            yield client


def run(client: httpx2.Client, **fields: str) -> dict:
    parts = {name: (None, value) for name, value in {"kind": "invariance", **fields}.items()}
    begun = client.post("/audits", files=parts)
    assert begun.status_code == 202, begun.text
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = client.get(begun.headers["Location"]).json()
        if found["status"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("the audit did not end")


def test_a_judge_that_follows_the_form_is_found_and_one_that_does_not_is_not_accused(client):
    found = run(client, anchor_set="shown")
    assert found["status"] == "done", found
    assert found["verdict"] == "failed"
    assert "weathercock" in found["summary"]
    assert "rock" not in found["summary"].replace("weathercock", "")
    by_name = {one["name"]: one for one in found["estimates"]}
    assert by_name["rock: swing"]["estimate"] == 0.0
    assert by_name["rock: swing"]["interval"][1] > 0  # nothing seen is not nothing there
    assert by_name["weathercock: swing"]["interval"][0] > 0.2
    assert by_name["weathercock: verdicts that change when merely asked again"]["estimate"] == 0.0
    assert by_name["a panel of three: noise from the form"]["estimate"] > 0.1
    (forms,) = (one for one in found["tables"] if one["name"] == "by_form")
    assert {row[1] for row in forms["rows"]} == {
        *("order_of_parts", "neutral_preamble", "synonyms", "whitespace", "layout"),
    }
    assert any("rubric order applies to none" in one for one in found["warnings"])


def test_what_was_asked_is_in_no_ledger(client):
    quality = client.get("/quality?rubric=point&criterion=helpfulness&by=system")
    assert quality.json()["rows"] == [] or quality.json()["rows"][0]["raw_mean"] is None


def test_the_asking_ends_with_its_budget(client):
    found = run(client, anchor_set="shown", parameters='{"max_cost_usd": 0.1}')
    assert any("the budget of $0.1 was spent" in one for one in found["warnings"]), (
        found["status"],
        found["summary"],
        found["error"],
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ('{"perturbations": ["rhyme"]}', "order_of_parts"),
        ('{"judges": ["nobody"]}', "rock, weathercock"),
    ],
)
def test_forms_and_judges_that_are_not_there_are_named(client, parameters, said):
    found = run(client, anchor_set="shown", parameters=parameters)
    assert found["status"] == "failed"
    assert said in found["error"]


def test_without_anchors_or_variants_it_says_what_it_would_take(client):
    assert "name an anchor set" in run(client, rubric="point")["error"]
    recorded = run(client, rubric="point", parameters='{"recorded": true}')
    assert recorded["status"] == "refused"
    assert "two forms" in recorded["summary"]
