from typing import Any

import pytest

from tests.web.conftest import answers  # noqa: F401


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def fields(document: dict[str, Any]):
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described


def operations(document: dict[str, Any]):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_field_is_described_with_an_example(document):
    bare = [name for name, field in fields(document) if not field.get("description")]
    without = [name for name, field in fields(document) if "examples" not in field and "example" not in field]
    assert (bare, without) == ([], [])


def test_every_parameter_is_described_with_an_example(document):
    wanting = [
        f"{name} {parameter['name']}"
        for name, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if (not parameter.get("description") and not parameter["schema"].get("description"))
        or not any(key in {**parameter, **parameter["schema"]} for key in ("example", "examples"))
    ]
    assert wanting == []


def test_every_operation_says_what_it_does_and_which_errors_it_answers(document):
    for name, operation in operations(document):
        assert operation.get("summary"), name
        if name in ("GET /healthz",):
            continue
        errors = {status: r for status, r in operation["responses"].items() if status >= "400"}
        assert errors, name
        for status, response in errors.items():
            assert set(response["content"]) & {"application/problem+json", "application/json"}, (name, status)


def test_every_operation_but_the_open_ones_needs_a_key(document):
    for name, operation in operations(document):
        assert ("security" in operation) == (name not in ("GET /healthz", "GET /readyz")), name


def test_every_post_takes_an_idempotency_key(document):
    for name, operation in operations(document):
        if name.startswith("POST "):
            names = [parameter["name"] for parameter in operation["parameters"]]
            assert names.count("Idempotency-Key") == 1, name


def test_every_reference_leads_somewhere(document):
    known = document["components"]["schemas"].keys()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                assert node["$ref"].removeprefix("#/components/schemas/") in known, node["$ref"]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
