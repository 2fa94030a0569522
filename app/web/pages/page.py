"""What every page shares: its frame, its template, the headers it is sent with."""

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from secrets import token_urlsafe
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app.access.keys import Caller
from app.domain.projects import Scope
from app.web.pages.addresses import url

# Nothing but our own style sheet, images and forms: a page that shows others' texts can run none of them.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# Forms are checked by where they come from, so the browser must be allowed to say it: `same-origin`.
_SCRIPTED = "connect-src 'self'; script-src '{hash}'; "
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its words; ``current`` marks the place one is at."""

    label: str
    href: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page.

    ``simulated`` says that the service's own judges are simulated, to whoever sees what they say;
    ``signed_in`` is the name of the key a browser signed in with, None while there are no keys; ``style``
    is the address of the style sheet.
    ``script`` is the address of the page's one script, which runs only if it has the hash ``integrity``;
    None on pages without.
    """

    project: str
    version: str
    simulated: bool
    navigation: tuple[Link, ...]
    signed_in: str | None
    style: str
    script: str | None
    integrity: str | None


class Context(Protocol):
    """What every page's context has: the words in the browser's tab and at the top of the page."""

    @property
    def title(self) -> str: ...


SECTIONS = (
    ("Overview", "/ui"),
    ("Quality", "/ui/quality"),
    ("Rankings", "/ui/rankings"),
    ("Judges", "/ui/judges"),
    ("Anchor sets", "/ui/anchor-sets"),
    ("Annotate", "/ui/annotate"),
    ("Audits", "/ui/audits"),
    ("Calibrations", "/ui/calibrations"),
    ("Grades", "/ui/grades"),
    ("Batches", "/ui/batches"),
    ("Rubrics", "/ui/rubrics"),
    ("Imports", "/ui/imports"),
)


def show(
    request: Request,
    template: str,
    context: Context,
    *,
    status: int = 200,
    signed_out: bool = False,
    script: str | None = None,
) -> HTMLResponse:
    """The page that ``template`` makes of ``context``, for whoever asks; ``signed_out`` shows no menu.

    ``script`` names the one of our static scripts that may run on the page, and may talk to this service.
    """
    caller: Caller | None = None if signed_out else request.scope.get("venire.caller")
    frame = _frame(request, caller, script)
    html = _environment().get_template(template).render(page=context, frame=frame)
    if script is None:
        return HTMLResponse(html, status, HEADERS)
    policy = _SCRIPTED.format(hash=frame.integrity) + POLICY
    return HTMLResponse(html, status, HEADERS | {"Content-Security-Policy": policy})


def may(request: Request, scope: Scope) -> bool:
    """Whether whoever asks may do what ``scope`` allows."""
    caller: Caller | None = request.scope.get("venire.caller")
    return caller is not None and not caller.scopes.isdisjoint({scope, Scope.ADMIN})


def _frame(request: Request, caller: Caller | None, script: str | None) -> Frame:
    path = request.url.path.replace("/ui/answers/", "/ui/grades/", 1)  # no menu entries of their own
    path = path.replace("/ui/report", "/ui/quality", 1)
    here = max(
        (href for _, href in SECTIONS if path == href or path.startswith(f"{href}/")), default="", key=len
    )
    guest = caller is None or caller.scopes == {Scope.ANNOTATE}  # grades, and sees nothing of judges
    return Frame(
        project="" if caller is None else caller.project.name,
        version=_version(),
        simulated=request.app.state.services.roster.simulated and not guest,
        navigation=()
        if caller is None
        else tuple(
            Link(label, href, current=href == here)
            for label, href in SECTIONS
            if not guest or href == "/ui/annotate"
        ),
        signed_in=None if caller is None or caller.key is None else caller.key.name,
        style=f"/ui/static/venire.css?v={_style_hash()}",
        script=None if script is None else f"/ui/static/{script}?v={_integrity(script)[7:19]}",
        integrity=None if script is None else _integrity(script),
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.web"),
        autoescape=True,  # every value, whatever its template is called
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["url"] = url
    # What ends the address of a form that does one thing however often it is sent (app.web.idempotency).
    environment.globals["once"] = lambda: f"once={token_urlsafe(12)}"
    return environment


@lru_cache(maxsize=1)
def _version() -> str:
    return version("venire")


@lru_cache(maxsize=8)
def _integrity(script: str) -> str:
    """What a browser checks before it runs a script."""
    body: Any = files("app.web").joinpath(f"static/{script}").read_bytes()
    return "sha256-" + b64encode(sha256(body).digest()).decode()


@lru_cache(maxsize=1)
def _style_hash() -> str:
    """A new style sheet is fetched at once, an old one never again."""
    body: Any = files("app.web").joinpath("static/venire.css").read_bytes()
    return sha256(body).hexdigest()[:12]
