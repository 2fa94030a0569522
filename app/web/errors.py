"""The one table from what went wrong to an HTTP status, and its form: problem+json (RFC 9457)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.domain.ids import UnknownId
from app.domain.items import ItemConflict
from app.domain.judging import TooFewFamilies
from app.domain.problems import (
    BadInput,
    BudgetSpent,
    Conflict,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Problem,
    TooLarge,
    Unavailable,
    UnsupportedFormat,
)
from app.stats.errors import InsufficientData, NotIdentified

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_LONGEST_VALUE = 200  # characters of an offending value that an answer repeats
_MOST_PROBLEMS = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its stable name, its status, its title."""

    name: str
    status: int
    title: str


MALFORMED = Kind("malformed-request", 400, "The request cannot be read")
UNAUTHENTICATED = Kind("unauthenticated", 401, "A valid key is needed")
OUT_OF_BUDGET = Kind("out-of-budget", 402, "The budget does not cover this")
FORBIDDEN = Kind("forbidden", 403, "This is not allowed")
NOT_FOUND = Kind("not-found", 404, "There is no such thing")
METHOD = Kind("method-not-allowed", 405, "This method is not allowed here")
CONFLICT = Kind("conflict", 409, "This conflicts with what is already there")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
MEDIA = Kind("unsupported-media-type", 415, "This content type is not read here")
BAD_INPUT = Kind("bad-input", 422, "The request cannot be accepted")
TOO_FEW_FAMILIES = Kind("too-few-families", 422, "The panel cannot be filled")
INSUFFICIENT = Kind("insufficient-data", 422, "There are not enough data")
NOT_IDENTIFIED = Kind("not-identified", 422, "The data cannot tell this apart")
INTERNAL = Kind("internal", 500, "The service failed")
NO_VERDICT = Kind("no-verdict", 502, "No judge gave a verdict")
UNAVAILABLE = Kind("unavailable", 503, "The service is not ready")

KINDS = (
    *(MALFORMED, UNAUTHENTICATED, OUT_OF_BUDGET, FORBIDDEN, NOT_FOUND, METHOD, CONFLICT, TOO_LARGE, MEDIA),
    *(BAD_INPUT, TOO_FEW_FAMILIES, INSUFFICIENT, NOT_IDENTIFIED, INTERNAL, NO_VERDICT, UNAVAILABLE),
)

ERRORS: Mapping[type[Exception], Kind] = {
    BadInput: BAD_INPUT,
    UnsupportedFormat: MEDIA,
    TooLarge: TOO_LARGE,
    TooFewFamilies: TOO_FEW_FAMILIES,
    InsufficientData: INSUFFICIENT,
    NotIdentified: NOT_IDENTIFIED,
    UnknownId: NOT_FOUND,
    NotFound: NOT_FOUND,
    Conflict: CONFLICT,
    ItemConflict: CONFLICT,
    NotAuthenticated: UNAUTHENTICATED,
    NotPermitted: FORBIDDEN,
    BudgetSpent: OUT_OF_BUDGET,
    Unavailable: UNAVAILABLE,
}

_BY_STATUS = {kind.status: kind for kind in reversed(KINDS)}


class ProblemItem(BaseModel):
    """One thing that is wrong, and where."""

    path: str | None = Field(
        None, description="Where in the request body or query.", examples=["body.answers[0].text"]
    )
    row: int | None = Field(None, description="The data row of an uploaded file, from 1.", examples=[17])
    column: str | None = Field(None, description="The column of an uploaded file.", examples=["score"])
    problem: str = Field(description="What is wrong, in words.", examples=["this field is required"])
    value: Any = Field(None, description="The offending value, shortened.", examples=["7"])


class ProblemDocument(BaseModel):
    """What every error answers, as application/problem+json (RFC 9457)."""

    type: str = Field(description="A stable path that names the kind.", examples=["/problems/bad-input"])
    title: str = Field(description="The kind in words.", examples=[BAD_INPUT.title])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What went wrong this time.", examples=["1 problem in the request"])
    errors: list[ProblemItem] = Field(
        default_factory=list, description="Every problem at once; cut after the first 1,000.", examples=[[]]
    )
    counts: dict[str, int] | None = Field(
        None,
        description="Problems by wording, where errors was cut.",
        examples=[{"score out of range": 1204}],
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: its own error statuses, beside those that any route may answer."""
    everywhere = (401, 403, 500, 503)
    return {
        status: {
            "description": _BY_STATUS[status].title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in sorted({*everywhere, *statuses})
    }


def problem_response(
    kind: Kind,
    detail: str,
    errors: Sequence[Problem] = (),
    counts: Mapping[str, int] | None = None,
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """An answer of this kind; ``status`` where a kind stands for several, ``more`` for further members."""
    body: dict[str, Any] = {
        "type": f"/problems/{kind.name}",
        "title": kind.title,
        "status": status or kind.status,
        "detail": _clean(detail),
        "errors": [_shown(problem) for problem in errors[:_MOST_PROBLEMS]],
    }
    if counts:
        body["counts"] = dict(counts)
    body.update(more or {})
    content = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status or kind.status, dict(headers or {}), MEDIA_TYPE)


def answer(error: Exception) -> Response:
    """The answer to an error of the table; to any other, a 500 that says nothing of its inside."""
    kind = next((ERRORS[cls] for cls in type(error).__mro__ if cls in ERRORS), INTERNAL)
    if kind is INTERNAL:
        return problem_response(INTERNAL, "something went wrong inside; it has been logged")
    headers = {"WWW-Authenticate": "Bearer"} if kind is UNAUTHENTICATED else None
    if isinstance(error, BadInput):
        return problem_response(kind, error.summary, error.problems, error.counts, headers)
    return problem_response(kind, str(error), headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document."""

    async def from_table(request: Request, error: Exception) -> Response:
        return answer(error)

    handlers: dict[type[Exception], Callable[[Request, Any], Any]] = {
        **dict.fromkeys(ERRORS, from_table),
        RequestValidationError: _invalid,
        HTTPException: _http,
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)


async def _http(request: Request, error: HTTPException) -> Response:
    kind = _BY_STATUS.get(error.status_code) or (INTERNAL if error.status_code >= 500 else MALFORMED)
    details = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not allowed at {request.url.path}",
        413: "the request body is larger than this route accepts",
    }
    generic = error.detail in {"Not Found", "Method Not Allowed", "Content Too Large", ""}
    detail = details.get(error.status_code, str(error.detail)) if generic else str(error.detail)
    return problem_response(kind, detail, headers=error.headers, status=error.status_code)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    wrong = _wrong_media_type(request)
    if wrong is not None:
        return problem_response(MEDIA, wrong)
    problems = [problem_of(one) for one in error.errors()]
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return problem_response(MALFORMED, "the request body is not JSON", problems)
    return problem_response(BAD_INPUT, counted(problems), problems)


def counted(problems: Sequence[Problem]) -> str:
    """How many problems there are, as a sentence."""
    return f"{len(problems)} problem{'' if len(problems) == 1 else 's'} in the request"


def problem_of(error: Mapping[str, Any]) -> Problem:
    """One of pydantic's errors in our words."""
    value = None if error["type"] == "missing" else error.get("input")
    return Problem(problem=_words(error), path=_path(error["loc"]), value=value)


def _words(error: Mapping[str, Any]) -> str:
    wording = {"missing": "this field is required", "extra_forbidden": "there is no such field"}
    message = wording.get(error["type"], str(error["msg"]))
    context = error.get("ctx", {})
    if error["type"] == "json_invalid" and "error" in context:
        return f"not JSON: {context['error']}"
    return message.removeprefix("Value error, ").replace("Input should", "must", 1)


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _wrong_media_type(request: Request) -> str | None:
    """Why validation could not but fail: the body came as another content type than the route reads."""
    body_field = getattr(request.scope.get("route"), "body_field", None)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body_field is None or (not given and request.headers.get("content-length", "0") == "0"):
        return None
    kind = type(body_field.field_info).__name__
    wanted = "multipart/form-data" if kind in {"Form", "File"} else "application/json"
    fits = given == wanted
    if kind == "Form":  # of a page, without a file: a browser sends it so
        fits = fits or given == "application/x-www-form-urlencoded"
    elif kind != "File":
        fits = fits or given.endswith("+json")
    return None if fits else f"send {wanted}, not {given or 'a body without a content type'}"


def _shown(problem: Problem) -> dict[str, Any]:
    shown: dict[str, Any] = {"problem": _clean(problem.problem)}
    for name in ("path", "row", "column"):
        if (where := getattr(problem, name)) is not None:
            shown[name] = _clean(where) if isinstance(where, str) else where
    if problem.value is not None:
        shown["value"] = _short(problem.value)
    return shown


def _short(value: object) -> object:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    elif not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=repr)
    text = _clean(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON lets in and UTF-8 does not let out."""
    return text.encode("utf-8", "replace").decode("utf-8")
