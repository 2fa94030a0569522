"""Query parameters that a route does not know are refused: a misspelt filter must not pass unnoticed."""

from collections.abc import Callable, Coroutine
from difflib import get_close_matches
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from app.domain.problems import Problem
from app.web.errors import BAD_INPUT, counted, problem_of, problem_response


class StrictRoute(APIRoute):
    """A route of the API. (Pages take what browsers and mails add to their links.)"""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind a look at the names of the query's parameters."""
        handle, fields = super().get_route_handler(), _fields(self.dependant)
        known = sorted({field.alias for field in fields})

        async def strictly(request: Request) -> Response:
            if request.scope["query_string"]:
                given = request.query_params
                unknown = [name for name in dict.fromkeys(given) if name not in known]
                if unknown:
                    return _refused(given, unknown, known, fields)
            return await handle(request)

        return strictly


def _refused(given: QueryParams, unknown: list[str], known: list[str], fields: list[Any]) -> Response:
    """Names the unknown, and what is wrong with the others."""
    _, errors = request_params_to_args(fields, given)
    problems = [*(_problem(name, given[name], known) for name in unknown), *map(problem_of, errors)]
    return problem_response(BAD_INPUT, counted(problems), problems)


def _problem(name: str, value: str, known: list[str]) -> Problem:
    close = get_close_matches(name, known, 1)
    there_are = f"there are {', '.join(known)}" if known else "there are none here"
    meant = f"did you mean {close[0]}?" if close else there_are
    return Problem(f"there is no such parameter; {meant}", path=f"query.{name}", value=value)


def _fields(dependant: Dependant) -> list[Any]:
    found: list[Any] = list(dependant.query_params)
    for one in dependant.dependencies:
        found += _fields(one)
    return found
