"""Each page in a real browser: accessible, inside its window, quiet, alone, and readable without scripts."""

import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Project, Watched

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/ui",
    "quality": "/ui/quality?rubric=support&criterion=helpfulness&order=corrected",
    "quality by system and stratum": "/ui/quality?of=support/helpfulness&by=system&by=stratum.language",
    "quality over time": "/ui/quality?of=support/helpfulness&by=system&period=week",
    "quality of pairs": "/ui/quality?rubric=duel&criterion=preference",
    "quality without a calibration": "/ui/quality?rubric=support&criterion=tone",
    "a quality table that cannot be": "/ui/quality?rubric=support&criterion=helpfulness&by=nonsense",
    "report": "/ui/report?rubric=support&criterion=helpfulness",
    "report of pairs": "/ui/report?rubric=duel&criterion=preference&baseline=tiny",
    "report without a calibration": "/ui/report?rubric=support&criterion=tone",
    "comparison": "/ui/quality/compare?rubric=support&criterion=helpfulness&baseline=tiny"
    "&candidate=helper-1&margin=0.1&by=stratum.language",
    "ranking": "/ui/rankings?rubric=duel&criterion=preference&judges=true",
    "rankings": "/ui/rankings",
    "comparisons": "/ui/quality/comparisons?rubric=support&baseline=tiny&by=stratum.language",
    "judges": "/ui/judges?rubric=support&criterion=helpfulness",
    "judge": "/ui/judges/azure-4?rubric=support",
    "judges of a refused calibration": "/ui/judges?rubric=support&criterion=tone",
    "judge without a report": "/ui/judges/alder-1?rubric=support",
    "judge of pairs": "/ui/judges/basalt%2Flarge?rubric=duel",
    "anchor sets": "/ui/anchor-sets",
    "anchor set": "/ui/anchor-sets/support-people",
    "upload": "/ui/anchor-sets/upload?rubric=support",
    "annotation queues": "/ui/annotate",
    "label planner": "/ui/annotate/-/plan?of=support/helpfulness&price=1.5",
    "audits": "/ui/audits",
    "provenance audit": "/ui/audits/{audit_provenance}",
    "overlap audit": "/ui/audits/{audit_overlap}",
    "invariance audit": "/ui/audits/{audit_invariance}",
    "disagreement audit": "/ui/audits/{audit_disagreement}",
    "put aside": "/ui/quarantine",
    "calibrations": "/ui/calibrations?rubric=support",
    "calibration": "/ui/calibrations/{calibration_helpfulness}",
    "calibration of pairs": "/ui/calibrations/{calibration_preference}",
    "refused calibration": "/ui/calibrations/{refused}",
    "grades": "/ui/grades",
    "grade": "/ui/grades/{grade}",
    "grade of a pair": "/ui/grades/{grade_pair}",
    "grade with its sum": "/ui/grades/{grade_weighed}",
    "answer": "/ui/answers/{answer}?rubric=support",
    "batches": "/ui/batches",
    "batch": "/ui/batches/{batch}",
    "batch at providers": "/ui/batches/{batch_at_providers}",
    "rubrics": "/ui/rubrics",
    "rubric": "/ui/rubrics/support",
    "imports": "/ui/imports",
    "import": "/ui/imports/{import_support}",
    "nothing there": "/ui/nothing",
}
LOOKS = tuple((width, scheme) for width in (360, 1280, 2560) for scheme in ("light", "dark"))
# Of axe's rules these depend on how a page looks (colours by scheme, the rest by width), the others on
# what it is made of, which is the same everywhere.
_BY_LOOK = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    return (files(axe_playwright_python) / "axe.min.js").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_fits_its_window_and_asks_nobody_else(
    project: Project, open_page: Callable[..., Watched], axe: str, name: str
) -> None:
    watched = open_page(*LOOKS[0])
    page, wrong = watched.page, []
    response = page.goto(project.url + PAGES[name].format(**project.ids))
    assert response is not None
    assert response.status == (404 if name == "nothing there" else 200)
    if response.ok:
        wrong += watched.complaints
    page.evaluate(axe)
    for width, scheme in LOOKS:
        wrong += violations_at(page, width, scheme)
        screenshot(page, name, width, scheme)
    wrong += [f"asked {url}" for url in watched.requests if not url.startswith((project.url, "data:"))]
    assert not wrong, "\n".join(wrong)


def violations_at(page: Page, width: int, scheme: str) -> list[str]:
    """What is wrong with a page, into which axe was put, in a window of this width and colour scheme."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    wrong = []
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        wrong.append(f"wider than its window of {width} pixels")
    first = (width, scheme) == LOOKS[0]
    rules = {"type": "tag", "values": _TAGS} if first else {"type": "rule", "values": _BY_LOOK}
    return wrong + [f"{found} ({width}, {scheme})" for found in _violations(page, {"runOnly": rules})]


def screenshot(page: Page, name: str, width: int, scheme: str) -> None:
    """Keep a picture of the page, if VENIRE_TEST_SCREENSHOTS says where."""
    if shots := os.environ.get("VENIRE_TEST_SCREENSHOTS"):
        file = f"{name}-{width}-{scheme}.png".replace(" ", "_")
        page.screenshot(path=Path(shots) / file, full_page=True)


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    run = "options => axe.run(document, {...options, resultTypes: ['violations']})"
    found = page.evaluate(run, options)["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    "name", ["overview", "quality", "judges", "judge", "upload", "calibration", "grade of a pair"]
)
def test_a_page_says_the_same_without_scripts(
    project: Project, open_page: Callable[..., Watched], name: str
) -> None:
    said = []
    for script in (True, False):
        page = open_page(script=script).page
        page.goto(project.url + PAGES[name].format(**project.ids))
        said.append(page.locator("main").inner_text())
        assert page.locator("script").count() == 0
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["report", "report of pairs", "judge", "judge of pairs"])
def test_a_report_prints_on_one_sheet(project: Project, open_page: Callable[..., Watched], name: str) -> None:
    page = open_page(width=703).page  # what A4 leaves between its margins
    page.goto(project.url + PAGES[name].format(**project.ids))
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    page.emulate_media(media="print")
    assert page.locator("nav, form").filter(visible=True).count() == 0
    cut = "t => t.getBoundingClientRect().right > innerWidth"
    assert not [one for one in page.locator("table:visible, svg:visible").all() if one.evaluate(cut)]
    if name == "report":
        assert page.locator(".report table tbody tr").count() == 6
    if name == "judge":
        assert page.locator(".effect .big:visible").count() > 5


def test_the_first_tab_stop_skips_to_the_content_and_every_stop_shows_itself(
    project: Project, open_page: Callable[..., Watched]
) -> None:
    page = open_page().page
    page.goto(f"{project.url}/ui/quality?rubric=support&criterion=helpfulness")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for _ in range(12):
        page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        assert page.evaluate(f"{style}.outlineStyle !== 'none' && parseFloat({style}.outlineWidth) >= 2")
