"""Whatever a caller sends, the service answers what its OpenAPI document says, and never with a 5xx."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import AcceptedNegativeData, positive_data_acceptance

from tests.running_service import PAIRWISE, POINTWISE, RunningService, running_service

# A document says how a request looks, not which rubrics and cursors there are: valid ones may be refused.
EXCLUDED: list[Any] = [positive_data_acceptance]
ANCHORS = "item_id,system,annotator,annotator_type,score\n" + "".join(
    f"q{k},bot-{k % 2},kim,expert,{1 + k % 5}\n" for k in range(6)
)


@pytest.fixture(scope="module")
def guarded(
    _migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningService, str]]:
    """A service with a key, a few things in it, and the names that the document's examples use."""
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as service:
        with service.client() as client:
            made = client.post("/keys", json={"name": "fuzz", "scopes": ["admin"]})
        key: str = made.json()["key"]
        with service.client(key) as client:
            client.put("/rubrics/helpfulness", json=POINTWISE)
            client.put("/rubrics/pair", json=PAIRWISE)
            body = {"rubric": "helpfulness", "prompt": "?", "answers": [{"system": "bot-v7", "text": "!"}]}
            assert client.post("/grade", json=body).status_code == 200
            form = {"rubric": "helpfulness", "anchor_set": "helpfulness-2026"}
            assert client.post("/anchors", files={"file": ANCHORS.encode()}, data=form).status_code == 200
        yield service, key


MODES = {"valid": GenerationMode.POSITIVE, "invalid": GenerationMode.NEGATIVE}


@pytest.mark.parametrize("mode", MODES)
def test_every_operation_answers_what_is_documented_whatever_it_is_sent(
    guarded: tuple[RunningService, str], mode: str
) -> None:
    service, key = guarded
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    wrong: dict[str, str] = {}
    for operation in operations:
        try:
            _fuzz(operation, MODES[mode], {"Authorization": f"Bearer {key}"})
        except (FailureGroup, AssertionError) as failure:
            wrong[operation.label] = _words(failure)
        except Unsatisfiable:
            assert mode == "invalid", operation.label  # nothing that it is sent can be wrong
    assert not wrong, "\n\n".join(f"{label}\n{said}" for label, said in wrong.items())


def _fuzz(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    """Send the operation bounded, reproducible examples and hold each answer to the document."""

    @seed(20261122)
    @settings(
        max_examples=20,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        response = case.call(headers=headers, timeout=30)
        try:
            case.validate_response(response, headers=headers, excluded_checks=EXCLUDED)
        except FailureGroup as group:
            sent = parse_qs(urlsplit(str(response.request.url)).query, keep_blank_values=True)
            left = [one for one in group.exceptions if not _is_harmless(one, operation, sent)]
            if left:
                raise FailureGroup(left) from None

    send()


def _is_harmless(failure: BaseException, operation: Any, sent: dict[str, list[str]]) -> bool:
    """Whether all that was accepted looks right on the wire: a query parameter that nobody asked for, a
    header that we added, or something else than a text where a text may stand: in a query all is text."""
    if not isinstance(failure, AcceptedNegativeData):
        return False
    said = str(failure)
    if "query: violates `additionalProperties`" in said:
        return True
    named = re.findall(r"query: violates `anyOf` at /properties/(\w+)", said)
    return bool(named) and all(_is_text(operation, name, sent.get(name, [])) for name in named)


def _is_text(operation: Any, name: str, values: list[str]) -> bool:
    for parameter in operation.definition.raw.get("parameters", []):
        if parameter["name"] == name:
            texts = [one for one in parameter["schema"].get("anyOf", []) if one.get("type") == "string"]
            plain = [one for one in texts if not one.keys() & {"enum", "pattern", "format"}]
            longest = max((one.get("maxLength", 10**9) for one in plain), default=-1)
            shortest = min((one.get("minLength", 0) for one in plain), default=0)
            return all(shortest <= len(value) <= longest for value in values)
    return False


def _words(failure: BaseException) -> str:
    parts = failure.exceptions if isinstance(failure, FailureGroup) else (failure,)
    return "\n".join(f"{type(part).__name__}: {part}"[:1500] for part in parts)
