"""The OpenAPI document: what FastAPI finds, and what is true of every route."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.web.errors import ProblemDocument, documented

_REF = "#/components/schemas/{model}"
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body gets the first answer again, for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "3f9a1c20-b7de-4a51-9d2e-1b1f5c5a7a10",
}
_OPEN = {"/healthz", "/readyz"}

DESCRIPTION = """Makes LLM judges trustworthy: random panels of several families, people as the measure,
corrected scores with intervals. Errors are `application/problem+json` and name every problem at once."""


def use_openapi(app: FastAPI, bodies: list[type[BaseModel]]) -> None:
    """Let ``app`` answer the completed document; ``bodies`` are models that routes read by themselves."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            app.openapi_schema = _document(app, bodies)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, bodies: list[type[BaseModel]]) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    components = document.setdefault("components", {}).setdefault("schemas", {})
    models: list[tuple[Any, Any]] = [(model, "validation") for model in (*bodies, ProblemDocument)]
    _, extra = models_json_schema(models, ref_template=_REF)
    components.update(extra["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "A key of the form prefix.secret."}
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Errors that any route may answer, the key it needs, and the header that every POST takes."""
    if path in _OPEN:
        return
    statuses = [401, 403, 500]
    if "422" in operation["responses"]:
        statuses.append(422)
    if method == "post":
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
        statuses += [409, 422]
    if "requestBody" in operation:
        statuses += [400, 413, 415, 422]
    for status, response in documented(*statuses).items():
        operation["responses"][str(status)] = response
    operation["security"] = [{"key": []}]
