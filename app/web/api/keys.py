"""Keys: create, list, revoke."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from app.access.keys import Caller
from app.domain.ids import read_id, show_id
from app.domain.projects import ApiKey, Scope
from app.web.callers import needs
from app.web.errors import documented
from app.web.fields import Answered, Body, Name
from app.web.paging import Page, Paging
from app.web.queries import StrictRoute
from app.web.services import Served

router = APIRouter(tags=["keys"], route_class=StrictRoute)

Admin = Annotated[Caller, needs(Scope.ADMIN)]
ScopeName = Literal["grade", "anchors", "read", "admin"]
AnyScope = Literal["grade", "anchors", "read", "admin", "annotate"]


class KeyIn(Body):
    """A key to be made."""

    name: Name = Field(description="What it is for.", examples=["nightly pipeline"])
    scopes: list[ScopeName] = Field(
        min_length=1,
        max_length=4,
        description="What it may do: grade, bring anchors and verdicts in, read, or everything (admin).",
        examples=[["grade", "read"]],
    )


class KeyOut(Answered):
    """A key, without its secret."""

    id: str = Field(description="Id of the key.", examples=["k_0c5mtzk3q8v1a"])
    name: str = Field(description="What it is for.", examples=["nightly pipeline"])
    prefix: str = Field(description="The open part of the key.", examples=["vk3f9a1c20b7de"])
    project: str = Field(description="The project it opens.", examples=["default"])
    scopes: list[AnyScope] = Field(
        description="What it may do; `annotate` is an invitation to grade in one queue.",
        examples=[["grade", "read"]],
    )
    created_at: datetime = Field(description="When it was made.", examples=["2026-11-22T10:00:00Z"])
    last_used_at: datetime | None = Field(
        description="When it was last used, to the minute.", examples=["2026-11-22T10:00:00Z"]
    )
    revoked_at: datetime | None = Field(description="When it was revoked.", examples=[None])


class NewKeyOut(KeyOut):
    """A new key: the only time its secret is shown."""

    key: str = Field(description="The whole key; it is not stored.", examples=["vk3f9a1c20b7de.kq3…"])


@router.post(
    "/keys",
    status_code=201,
    summary="Make a key",
    responses=documented(400, 409, 413, 415, 422),
)
async def create_key(body: KeyIn, caller: Admin, services: Served) -> NewKeyOut:
    """The first key ends the time in which whoever calls from this machine needs none."""
    scopes = frozenset(Scope(scope) for scope in body.scopes)
    key, token = await services.keys.create(caller.project, body.name, scopes)
    return NewKeyOut(**_shown(key).model_dump(), key=token)


@router.get("/keys", summary="The project's keys", responses=documented(422))
async def list_keys(caller: Admin, services: Served, paging: Paging) -> Page[KeyOut]:
    """Oldest first, revoked ones included."""
    page, cursor = paging.cut(await services.keys.list(caller.project), lambda key: show_id("k", key.id))
    return Page(items=[_shown(key) for key in page], next_cursor=cursor)


@router.delete("/keys/{key_id}", status_code=204, summary="Revoke a key", responses=documented(404))
async def revoke_key(
    key_id: Annotated[str, Path(description="Id of the key.", examples=["k_0c5mtzk3q8v1a"])],
    caller: Admin,
    services: Served,
) -> Response:
    """It takes up to two seconds until every process of the service refuses it."""
    await services.keys.revoke(caller.project, read_id("k", key_id), key_id)
    return Response(status_code=204)


def _shown(key: ApiKey) -> KeyOut:
    return KeyOut(
        id=show_id("k", key.id),
        name=key.name,
        prefix=key.prefix,
        project=key.project,
        scopes=[scope.value for scope in sorted(key.scopes)],
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )
