"""Anchor sets in a real browser: wrong uploads, what changed, what leaves; at every width, in both themes."""

import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from tests.anchoring import shapes
from tests.browser.conftest import Watched
from tests.browser.test_every_page import LOOKS, screenshot, violations_at
from tests.running_service import RunningService, running_service
from tests.web.pages.planted import POINTWISE

pytestmark = pytest.mark.browser

HEAD = "item_id,system,prompt,answer,criterion,annotator,annotator_type,score"
SETS = "/ui/anchor-sets"


def row(k: int, score: int, who: str = "ann") -> str:
    return f"question-{k:03},helper-{k % 3},How do I mend lamp {k}?,Turn it.,helpfulness,{who},expert,{score}"


@pytest.fixture(scope="module")
def service(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with one anchor set of two versions that differ in a hundred and sixty grades."""
    folder = tmp_path_factory.mktemp("sets")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
            first = [row(k, 1 + k % 4) for k in range(120)] + [row(k, 3, "bob") for k in range(40)]
            second = [row(k, 2 + k % 4) for k in range(80)] + [row(k, 3, "bob") for k in range(40)]
            second += [row(k, 4) for k in range(200, 240)]
            for lines in (first, second):
                content = "\n".join([HEAD, *lines]).encode()
                form = {"rubric": "support", "anchor_set": "support-people", "replace": "true"}
                assert client.post("/anchors", files={"file": ("f", content)}, data=form).status_code == 200
            lines = [row(k, 1 + k % 4) for k in range(60)]
            form = {"rubric": "support", "anchor_set": "worn"}
            content = "\n".join([HEAD, *lines]).encode()
            assert client.post("/anchors", files={"file": ("f", content)}, data=form).status_code == 200
            done = client.post("/anchor-sets/worn/rotations", json={"draw": False})
            assert done.status_code == 201, done.text
            running.app.state.rotation = done.json()["id"]
        yield running


def _upload(page: Page, service: RunningService, file: Path) -> None:
    page.goto(f"{service.url}{SETS}/upload?rubric=support")
    page.locator("#file").set_input_files(file)
    page.locator("#anchor_set").fill("tried")
    _press(page, "Check the file")


def _press(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name, exact=True).click()


_DIFFERENCE = f"{SETS}/-/difference?set=support-people&before=1&after=2"
PAGES = {
    "the set": f"{SETS}/support-people",
    "difference": _DIFFERENCE,
    "difference, filtered": f"{_DIFFERENCE}&change=added&item=23",
    "difference, nothing": f"{SETS}/-/difference?set=support-people&before=2&after=2",
    "retire": f"{SETS}/-/retire?set=support-people",
    "rotation": f"{SETS}/-/rotation?set=support-people",
    "rotation, done": f"{SETS}/-/rotation/{{rotation}}?set=worn",
    "rotations, with one done": f"{SETS}/-/rotation?set=worn",
}


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    return (files(axe_playwright_python) / "axe.min.js").read_text()


def wrong_with(watched: Watched, service: RunningService, axe: str, name: str) -> list[str]:
    """What is wrong with the page that is open, in every look."""
    watched.page.evaluate(axe)
    wrong = [*watched.complaints]
    for look in LOOKS:
        wrong += violations_at(watched.page, *look)
        screenshot(watched.page, f"sets {name}", *look)
    return wrong + [url for url in watched.requests if not url.startswith((service.url, "data:"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_set_is_accessible_at_every_width(
    service: RunningService, open_page: Callable[..., Watched], axe: str, name: str
) -> None:
    watched = open_page(*LOOKS[0])
    response = watched.page.goto(service.url + PAGES[name].format(rotation=service.app.state.rotation))
    assert response is not None
    assert response.status == 200
    assert wrong_with(watched, service, axe, name) == []


def test_an_upload_with_wrong_rows_is_accessible(
    service: RunningService, open_page: Callable[..., Watched], axe: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([HEAD, *(row(k, 9 if k % 5 == 0 else 3) for k in range(60))]))
    watched = open_page(*LOOKS[0])
    _upload(watched.page, service, bad)
    assert wrong_with(watched, service, axe, "upload with wrong rows") == []


def test_an_upload_of_another_tools_file_is_accessible(
    service: RunningService, open_page: Callable[..., Watched], axe: str, tmp_path: Path
) -> None:
    exported = tmp_path / "label-studio.json"
    exported.write_bytes(shapes.file(shapes.label_studio()).getvalue())
    watched = open_page(*LOOKS[0])
    _upload(watched.page, service, exported)
    assert "Label Studio export" in watched.page.locator("main").inner_text()
    assert wrong_with(watched, service, axe, "upload of another tool") == []


def test_what_wrote_a_file_is_found_out_and_can_be_said_otherwise(
    service: RunningService, open_page: Callable[..., Watched], tmp_path: Path
) -> None:
    file = tmp_path / "export.json"
    file.write_bytes(shapes.file(shapes.label_studio()).getvalue())
    page = open_page(script=False).page
    _upload(page, service, file)
    assert page.locator("#shape").input_value() == "label-studio"
    assert page.locator('select[name="column:system"]').input_value() == "model"
    page.locator("#shape").select_option("argilla")
    _press(page, "Read it so")
    assert "it looks like: Label Studio export" in page.locator("[role=alert]").inner_text()
    page.locator("#shape").select_option("label-studio")
    _press(page, "Read it so")
    assert page.locator('select[name="column:system"]').input_value() == "model"


def test_changes_are_paged_filtered_and_taken_away_without_scripts(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    page = open_page(script=False).page
    page.goto(f"{service.url}{SETS}/support-people")
    with page.expect_navigation():
        page.get_by_role("link", name="See what changed in version 2").click()
    assert "Changes 1 to 100 of 160" in page.locator("#changes").inner_text()
    with page.expect_navigation():
        page.get_by_role("link", name="More", exact=True).click()
    assert "Changes 101 to 160 of 160" in page.locator("#changes").inner_text()
    page.locator("#change").select_option("removed")
    page.locator("#item").fill("question-09")
    _press(page, "Show")
    assert "Changes 1 to 10 of 10 that fit" in page.locator("#changes").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 11


def test_people_are_retired_after_a_look_without_scripts(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    page = open_page(script=False).page
    page.goto(f"{service.url}{SETS}/support-people")
    with page.expect_navigation():
        page.get_by_role("link", name="Retire anchors").click()
    page.get_by_label("bob").check()
    _press(page, "See what would leave")
    assert "40 grades of 40 items by 1 person would leave" in page.locator("[role=status]").inner_text()
    page.locator("#reason").fill("left the team")
    _press(page, "Retire")
    text = page.locator("main").inner_text()
    assert "Retired: left the team" in text
    assert "bob" not in page.locator("#people").locator("xpath=..").inner_text()


def test_a_set_is_rotated_from_its_page_without_scripts(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    page = open_page(script=False).page
    page.goto(f"{service.url}{SETS}/support-people")
    with page.expect_navigation():
        page.get_by_role("link", name="Rotation", exact=True).click()
    page.locator("#share").fill("0.4")
    _press(page, "Plan again")
    assert "leaves an overlap of 0.6" in page.locator("[role=alert]").inner_text()
    page.locator("#share").fill("0.05")
    _press(page, "Plan again")
    marked = page.locator("td.state .status").count()
    assert marked > 0
    page.locator("input[name=draw]").uncheck()
    _press(page, "Rotate")
    assert f"{marked}" in page.locator("dl.facts").first.inner_text()
    assert "No calibration" in page.locator("main").inner_text()
