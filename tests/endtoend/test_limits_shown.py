"""What is taken of shared limits shows in the API, on the page, in the command and in the metrics."""

import json
from pathlib import Path

from tests.cli.commands import venire
from tests.endtoend.rosters import PROTOCOLS, counted, judge, settings_for
from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, running_service


def test_a_limit_in_use_is_shown_with_who_takes_of_it(tmp_path: Path) -> None:
    with provider_process() as provider:
        roster = [
            judge(protocol, protocol, protocol, f"{protocol}-x", provider, requests_per_minute=6000)
            for protocol in PROTOCOLS
        ]
        with running_service(settings_for(tmp_path, roster)) as service, service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            changed = venire("batches", "limits", "--tokens", 900_000, "--json", url=service.url)
            assert json.loads(changed.stdout)["project"]["tokens_per_minute"] == 900_000
            body = {"rubric": "point", "prompt": "How?", "answers": [{"system": "bot", "text": "So."}]}
            assert client.post("/grade", json=body).status_code == 200
            limits = client.get("/limits").json()
            of_models = [one for one in limits if one["of"] == "model"]
            assert {one["model"].split()[-1] for one in of_models} == {f"{name}-x" for name in PROTOCOLS}
            assert all(one["kind"] == "requests" and one["allowance"] == 6000 for one in of_models)
            assert all(one["holders"] and one["flow"] == 1 and one["turned_away"] == 0 for one in of_models)
            (own,) = [one for one in limits if one["of"] == "project"]
            assert (own["model"], own["kind"], own["allowance"]) == (None, "tokens", 900_000)
            page = client.get("/ui/batches").text
            assert "What all processes take of them together" in page
            assert "this project" in page
            assert "900,000" in page
            metrics = client.get("/metrics").text
            assert counted(metrics, "venire_limit_allowance", kind="requests") == 3 * 6000
            assert counted(metrics, "venire_limit_holders", kind="requests") == 3
            table = venire("batches", "limits", url=service.url).stdout
            assert "900,000 tokens a minute" in table
            assert "openai-x" in table.replace("\n", "")
