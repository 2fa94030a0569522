"""Every fault of a provider ends as a stored, counted, explained seat, or as a verdict after all."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.provider_server.fixture import provider_process
from tests.running_service import POINTWISE, RunningService, running_service
from tests.web.conftest import answers

# What goes wrong -> the reasons with which the seat may end; none: a retry brings the verdict.
FAULTS: dict[str, set[str]] = {
    "429;retry-after=0.05;times=2": set(),
    "429;times=1": set(),
    "500;times=1": set(),
    "529;times=1": set(),
    "reset;times=1": set(),
    "429": {"rate_limited"},
    "500": {"provider_error"},
    "401": {"provider_error"},
    "refusal": {"refusal"},
    "truncation": {"unparsable"},
    "malformed": {"unparsable"},
    "prose": {"unparsable"},
    "out_of_range": {"out_of_range"},
    "two_objects": {"unparsable"},
    "empty": {"provider_error", "unparsable"},
    "html": {"provider_error", "unparsable"},
    "hang": {"timeout"},
    "fenced": set(),
}
PROVIDERS = {"openai": "/v1", "openai-responses": "/v1", "anthropic": ""}


def judge(name: str, family: str, provider: str, model: str, url: str, **more: float) -> str:
    """A roster entry with a key of its own: judges that share address and key share what is known of them."""
    key = f"TEST_KEY_{name.replace('-', '_')}"
    os.environ[key] = key
    return (
        f'[[judges]]\nname = "{name}"\nfamily = "{family}"\nprovider = "{provider}"\n'
        f'model = "{model}"\nbase_url = "{url}{PROVIDERS[provider]}"\napi_key_env = "{key}"\n'
        + "".join(f"{option} = {value}\n" for option, value in more.items())
    )


@pytest.fixture(scope="module")
def faulty(
    _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningService, httpx2.Client]]:
    """Two families that answer, and one family of a faulty judge for every fault and protocol."""
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with provider_process() as url:
        roster = [judge(name, name, "openai", name, url) for name in ("well", "fine")]
        for number, fault in enumerate(FAULTS):
            for provider in PROVIDERS:
                name = f"{provider}-{number}"
                patience = {"timeout_s": 2} if FAULTS[fault] == {"timeout"} else {}
                roster.append(judge(name, name, provider, f"m{number}-{provider}!{fault}", url, **patience))
        (folder / "judges.toml").write_text("\n".join(roster))
        settings = {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}
        with running_service(settings) as service, service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            yield service, client


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS)))
def test_a_fault_costs_one_seat_at_most_and_is_explained(faulty, provider, number, fault):
    _, client = faulty
    name = f"{provider}-{number}"
    faulty_ones = {f"{p}-{n}" for n in range(len(FAULTS)) for p in PROVIDERS}
    body = {
        "rubric": "point",
        "prompt": f"How {name}?",
        "answers": answers(1),
        "panel": {"exclude_families": sorted(faulty_ones - {name})},
        "timeout_s": 25,
    }
    response = client.post("/grade", json=body)
    assert response.status_code == 200, response.text
    grade = response.json()
    seats = {seat["judge"]: seat for seat in grade["seats"]}
    seat, reasons = seats[name], FAULTS[fault]
    if reasons:
        assert seat["unscored"]["reason"] in reasons, seat["unscored"]
        assert seat["unscored"]["detail"]
        assert grade["status"] == "partial"
        assert grade["raw"]["helpfulness"]["seats"] == 2
    else:
        assert seat["unscored"] is None, seat["unscored"]
        assert grade["status"] == "complete"
    again = client.get(f"/grades/{grade['grade_id']}").json()
    said = [{s["judge"]: s["unscored"] for s in one["seats"]} for one in (again, grade)]
    assert said[0] == said[1]


@pytest.fixture
def folder(_migrated_sqlite: Path, tmp_path: Path) -> Path:
    """Where a service keeps its data."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    return tmp_path


def test_a_panel_without_any_verdict_is_a_502_that_carries_the_stored_grade(folder):
    with provider_process() as url:
        roster = [judge(p, p, p, f"{p}!refusal", url) for p in PROVIDERS]
        (folder / "judges.toml").write_text("\n".join(roster))
        settings = {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}
        with running_service(settings) as service, service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            body = {"rubric": "point", "prompt": "How?", "answers": answers(1)}
            first = client.post("/grade", json=body, headers={"Idempotency-Key": "k"})
            again = client.post("/grade", json=body, headers={"Idempotency-Key": "k"})
            assert first.status_code == again.status_code == 502
            assert first.headers["content-type"] == "application/problem+json"
            problem = first.json()
            assert problem["type"] == "/problems/no-verdict"
            assert "3 × refusal" in problem["detail"]
            stored = client.get(f"/grades/{problem['grade']['grade_id']}").json()
            assert stored["status"] == "failed"
            assert [seat["unscored"]["reason"] for seat in stored["seats"]] == ["refusal"] * 3
            assert again.json() == problem
            text = client.get("/metrics").text
            assert 'venire_unscored_total{reason="refusal"} 3.0' in text


def test_costs_are_counted_retries_included_and_budgets_bind(folder):
    price = (
        "price_input_per_mtok = 1000\nprice_output_per_mtok = 1000\nparams = { max_output_tokens = 100 }\n"
    )
    with provider_process() as url:
        roster = [judge(p, p, p, f"priced-{p}", url) + price for p in PROVIDERS]
        (folder / "judges.toml").write_text("\n".join(roster))
        settings = {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}
        with running_service(settings) as service, service.client() as client:
            client.put("/rubrics/point", json=POINTWISE)
            body = {"rubric": "point", "prompt": "How?", "answers": answers(1)}
            grade = client.post("/grade", json=body).json()
            assert grade["cost_usd"] == pytest.approx(sum(seat["cost_usd"] for seat in grade["seats"]))
            assert grade["cost_usd"] > 0
            poor = client.post("/grade", json={**body, "prompt": "Why?", "max_cost_usd": 0.000001})
            assert poor.status_code == 502
            reasons = {seat["unscored"]["reason"] for seat in poor.json()["grade"]["seats"]}
            assert reasons == {"budget"}
            assert poor.json()["grade"]["cost_usd"] == 0
