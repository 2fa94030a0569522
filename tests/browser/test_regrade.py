"""Anchors graded once more, cold, in a real browser by keyboard: drawn, graded, held against what stood."""

import shutil
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from tests.anchoring.files import csv_file, grade
from tests.browser.conftest import Watched
from tests.browser.keyboard import press, type_into
from tests.browser.test_every_page import LOOKS, screenshot, violations_at
from tests.running_service import POINTWISE, RunningService, running_service

pytestmark = pytest.mark.browser

ITEMS, SYSTEMS, DRAWN = 20, ("sly-bot-1", "sly-bot-2"), 20


def score(number: int) -> int:
    """What everybody thinks of an answer that says to turn it so often."""
    return 1 + number % 3


@pytest.fixture
def service(_migrated_sqlite: Path, tmp_path: Path) -> Iterator[RunningService]:
    """Two systems' answers to twenty questions, all graded by ann."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    rows = [
        grade(item_id=f"q{k}", system=system, prompt=f"How do I mend lamp {k}?", answer=f"Turn it {k} times.")
        | {"annotator": "ann", "criterion": "helpfulness", "score": score(k)}
        | {"stratum.language": "de" if k % 2 else "en"}
        for k in range(ITEMS)
        for system in SYSTEMS
    ]
    with running_service({"VENIRE_DATA_DIR": str(tmp_path)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
            sent = client.post(
                "/anchors",
                files={"file": ("grades.csv", csv_file(rows).getvalue())},
                data={"rubric": "support", "anchor_set": "people"},
            )
            assert sent.status_code == 200, sent.text
        yield running


def test_anchors_are_drawn_graded_cold_and_audited_by_keyboard(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    watched = open_page()
    page = watched.page
    page.goto(f"{service.url}/ui/audits")
    press(page, "Grade some once more, cold")
    type_into(page, "#items", str(DRAWN))
    press(page, "Plan again")
    plan = page.locator("main").inner_text()
    assert f"{DRAWN} anchors tell" in plan
    assert all(system in plan for system in SYSTEMS)
    wrong = looked_at(page, "regrade")
    press(page, "Draw them")
    queue = page.url
    wrong += looked_at(page, "cold queue")

    # ann graded all of it; kim has seen none, and puts every other answer two steps higher.
    page.goto(f"{queue}/grade?annotator=ann&annotator_type=expert")
    assert "before" in page.locator("main").inner_text()
    watched.complaints.clear()  # a page that refuses is one for the browser
    page.goto(queue)
    type_into(page, "#annotator", "kim")
    press(page, "Begin")
    graded = differ = 0
    while "All done" not in (said := page.locator("main").inner_text()):
        assert not any(system in said for system in SYSTEMS)
        number = int(said.split("Turn it ")[1].split()[0])
        off = 2 if number % 2 == 0 else 0
        graded, differ = graded + 1, differ + bool(off)
        page.keyboard.press(str(score(number) + off))
        with page.expect_navigation():
            page.keyboard.press("Control+Enter")
    assert graded == DRAWN
    assert differ > 0

    page.goto(queue)
    press(page, "Audit disagreement")
    until = time.monotonic() + 60
    while "Real disagreements" not in (said := page.locator("main").inner_text()):
        assert time.monotonic() < until, said
        page.reload()
    row = page.locator("tr", has_text="Real disagreements").first.inner_text()
    assert f"{differ / graded:.1%}".replace("%", "") in row  # both systems are drawn from alike
    assert "Cold above by" in said
    assert "Correlation ceiling" in said
    wrong += looked_at(page, "disagreement audit")
    assert not wrong, "\n".join(wrong)
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith((service.url, "data:"))] == []


def looked_at(page: Page, name: str) -> list[str]:
    """What axe finds wrong with this page at every width and in both colour schemes."""
    page.evaluate((files(axe_playwright_python) / "axe.min.js").read_text())
    wrong = []
    for look in LOOKS:
        wrong += [f"{name}: {one}" for one in violations_at(page, *look)]
        screenshot(page, name, *look)
    return wrong
