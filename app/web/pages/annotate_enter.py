"""What the link of an invitation opens."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from app.domain.problems import NotAuthenticated, NotPermitted
from app.web.pages.addresses import url
from app.web.pages.page import show
from app.web.pages.sign_in import opened
from app.web.services import Served

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Enter:
    """An invitation, by its key; ``wrong`` says why it opens nothing."""

    title: str
    key: str
    wrong: str | None = None


@router.get("/ui/annotate/enter")
async def enter(request: Request, key: Annotated[str, Query(max_length=500)] = "") -> Response:
    """A button, so that nothing happens by looking at a link."""
    return show(request, "annotate_enter.html", Enter("You are invited to grade", key), signed_out=True)


@router.post("/ui/annotate/enter")
async def open_desk(
    request: Request, services: Served, key: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Take the key, open a session that can do nothing but grade in its queue."""
    try:
        invitation = await services.people.invitation_of(await services.keys.caller(key.strip()))
    except (NotAuthenticated, NotPermitted):
        wrong = "This link no longer opens anything. Ask whoever sent it for another."
        page = Enter("You were invited to grade", key, wrong)
        return show(request, "annotate_enter.html", page, status=401, signed_out=True)
    to = url("annotate") if invitation is None else url("annotate", invitation.queue, "grade")
    return await opened(request, services, key, to)
