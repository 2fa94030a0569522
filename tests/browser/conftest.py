"""A real Chromium before a real service with a small calibrated project."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from app.domain.ids import read_id
from tests.batches.conftest import lines, send
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
def browser(_migrated_sqlite: Path) -> Iterator[Browser]:
    """Debian's Chromium, or the one that VENIRE_TEST_CHROMIUM names.

    Its driver keeps an event loop running, so the database, which needs one of its own, is made before.
    """
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
            ids["batch_at_providers"] = _at_providers(client, folder / "venire.db")
        yield Project(running, ids)


def _at_providers(client: httpx2.Client, database: Path) -> str:
    """A batch as it is while its seats are at providers: simulated judges have none, so that its rows are
    written here."""
    query = {"mode": "batch", "fallback": "batch", "budget_usd": 1}
    sent = send(client, lines(3, rubric="support"), **query)
    made = {"state": "over", "requests": 40, "done": 38, "failed": 2, "answered": 38, "returned": 2}
    made |= {"held_usd": 0.0, "spent_usd": 0.25, "day": 0, "looks": 1, "due_at": 0, "created_at": 0}
    shown = [
        {"standing": "expired", "provider_id": "batch_abc123", "ended_at": 1_790_000_000_000},
        {"standing": "working", "state": "sent", "provider_id": "msgbatch_0123456789", "held_usd": 1.5},
        {"state": "intended", "detail": "HTTP 503: the provider is overloaded, try again later"},
    ]
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as ours:
        project, judge = ours.execute("SELECT project_id, id FROM judge_versions LIMIT 1").fetchone()
        for number, one in enumerate(shown, 1):
            row = made | one | {"id": number, "project_id": project, "judge_version_id": judge}
            row["batch_id"] = read_id("b", sent["batch_id"])
            places = ", ".join("?" * len(row))
            ours.execute(
                f"INSERT INTO provider_batches ({', '.join(row)}) VALUES ({places})", [*row.values()]
            )
    return str(sent["batch_id"])


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
