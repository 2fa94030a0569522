"""Signing in with a key, and out: the browser gets a session, never keeps the key."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.domain.problems import NotAuthenticated
from app.web.callers import COOKIE
from app.web.pages.addresses import inside
from app.web.pages.page import HEADERS, show
from app.web.services import Served, Services

router = APIRouter(include_in_schema=False)

LASTS = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The form. ``next`` is the page to go to; ``wrong`` says that the key was not taken."""

    title: str
    next: str
    wrong: str | None


@router.get("/ui/sign-in")
async def sign_in(request: Request, services: Served, next: Annotated[str, Query()] = "/ui") -> Response:
    """The form; while there are no keys nobody needs it."""
    if await services.keys.anyone() is not None:
        response = RedirectResponse(inside(next), 303, HEADERS)
        response.delete_cookie(COOKIE, path="/ui")
        return response
    return show(request, "sign_in.html", SignIn("Sign in", inside(next), None), signed_out=True)


@router.post("/ui/sign-in")
async def open_session(
    request: Request,
    services: Served,
    key: Annotated[str, Form(max_length=500)] = "",
    next: Annotated[str, Form()] = "/ui",
) -> Response:
    """Take a key, give a session."""
    try:
        return await opened(request, services, key, inside(next))
    except NotAuthenticated:
        words = "This key is not valid: it was mistyped, or it has been revoked."
        context = SignIn("Sign in", inside(next), words)
        return show(request, "sign_in.html", context, status=401, signed_out=True)


@router.post("/ui/sign-out")
async def sign_out() -> Response:
    """Forget the session in this browser."""
    response = RedirectResponse("/ui/sign-in", 303, HEADERS)
    response.delete_cookie(COOKIE, path="/ui")
    return response


async def opened(request: Request, services: Services, key: str, to: str) -> Response:
    """To a page, with a session that can do what the key can; NotAuthenticated if the key is not valid."""
    session = await services.keys.open_session(key.strip(), LASTS)
    response = RedirectResponse(to, 303, HEADERS)
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(LASTS.total_seconds()),
        path="/ui",
        secure=request.url.scheme == "https" or services.public_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )
    return response
