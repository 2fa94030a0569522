"""A real Chromium before a real service with a small calibrated project."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from tests.running_service import RunningService, running_service
from tests.web.pages.planted import fill

_FLAGS = [
    "--no-sandbox",  # containers have no user namespaces
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that VENIRE_TEST_CHROMIUM names."""
    program = os.environ.get("VENIRE_TEST_CHROMIUM") or shutil.which("chromium")
    if program is None:
        message = "no Chromium for the browser tests; install it or set VENIRE_TEST_CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield running
        running.close()


@dataclass
class Project:
    """The service with the planted project; ``ids`` name what pages can be asked for."""

    service: RunningService
    ids: dict[str, Any]

    @property
    def url(self) -> str:
        return self.service.url


@pytest.fixture(scope="session")
def project(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("planted")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        with running.client() as client:
            ids = fill(client)
        yield Project(running, ids)


@dataclass
class Watched:
    """A page, with what it asked for and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Open a tab of this width and colour scheme; closed with the test."""
    contexts: list[BrowserContext] = []

    def open_one(width: int = 1280, scheme: str = "light", script: bool = True) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watched = Watched(page)

        def asked(request: Request) -> None:
            watched.requests.append(request.url)

        page.on("request", asked)
        page.on("console", lambda message: watched.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        return watched

    yield open_one
    for context in contexts:
        context.close()
