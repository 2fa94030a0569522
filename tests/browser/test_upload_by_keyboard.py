"""Bringing human grades in by browser, with nothing but a keyboard, and signing in with a key."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Project, Watched
from tests.browser.keyboard import enter, press, type_into
from tests.running_service import RunningService, running_service
from tests.web.pages.planted import POINTWISE

pytestmark = pytest.mark.browser

_ROWS = [
    "question_id,model,response,rater,stars,kind,lang",
    "q1,bot-1,Press reset.,ann,4,helpfulness,en",
    "q1,bot-2,Buy a new one.,ann,2,helpfulness,en",
    "q2,bot-1,Unplug it.,bob,9,helpfulness,de",
    "q2,bot-2,Call us.,bob,3,helpfulness,de",
]


def test_a_file_is_chosen_its_mapping_mended_and_stored_by_keyboard(
    project: Project, open_page: Callable[..., Watched], tmp_path: Path
) -> None:
    page = open_page(script=False).page
    bad, good = tmp_path / "grades.csv", tmp_path / "mended.csv"
    bad.write_text("\n".join(_ROWS))
    good.write_text("\n".join(_ROWS).replace(",9,", ",5,"))

    _choose(page, project, bad, "by-keyboard")
    assert page.locator("[role=alert]").inner_text().startswith("Not ready.")
    assert _selected(page, "item_id") == "question_id"
    assert _selected(page, "annotator") == "rater"

    _pick(page, "score", "stars")  # names that nobody could guess
    _pick(page, "criterion", "kind")
    type_into(page, 'input[name="constant:annotator_type"]', "expert")
    page.get_by_label("lang", exact=True).focus()
    page.keyboard.press("Space")
    press(page, "Check again")
    problems = page.locator("#problems").locator("xpath=..")
    assert "row 3" in problems.inner_text()
    assert "9" in problems.inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download every wrong row (CSV)").focus()
        page.keyboard.press("Enter")
    wrong = Path(download.value.path()).read_text().splitlines()
    assert wrong[0] == f"venire_row,venire_problem,{_ROWS[0]}"
    assert wrong[1].startswith("3,")
    assert wrong[1].endswith(_ROWS[3])

    # The wrong row is mended and sent back: first badly, then well.
    for mended, says in ((wrong[1].replace("3,", "7,", 1), "no row of the file"), ("", "empty")):
        _send_back(page, tmp_path, "\n".join([wrong[0], mended]) if mended else "")
        assert says in page.locator("main").inner_text()
    _send_back(page, tmp_path, "\n".join([wrong[0], wrong[1].replace(",9,helpfulness", ",5,helpfulness")]))
    assert page.locator("[role=status]").inner_text().startswith("Ready.")
    assert "1 row stands corrected." in page.locator("main").inner_text()
    press(page, "Take the corrections back")
    assert page.locator("[role=alert]").inner_text().startswith("Not ready.")

    # Or the whole file is mended and chosen again.
    _choose(page, project, good, "by-keyboard")
    _pick(page, "score", "stars")
    _pick(page, "criterion", "kind")
    type_into(page, 'input[name="constant:annotator_type"]', "expert")
    press(page, "Check again")
    assert page.locator("[role=status]").inner_text().startswith("Ready.")
    press(page, "Store")
    assert page.url.startswith(f"{project.url}/ui/anchor-sets/by-keyboard")
    assert "Stored." in page.locator("main").inner_text()
    with project.service.client() as client:
        assert client.get("/anchor-sets/by-keyboard").json()["grades"] == 4

    # How the columns were read is remembered, and can be guessed anew.
    again = tmp_path / "more.csv"
    again.write_text("\n".join(_ROWS).replace(",9,", ",5,").replace("q1", "q7"))
    _choose(page, project, again, "by-keyboard")
    assert page.locator("[role=status]").inner_text().startswith("Ready.")
    assert _selected(page, "score") == "stars"
    assert "Remembered." in page.locator("main").inner_text()
    press(page, "guess anew from the names")
    assert _selected(page, "score") == ""
    assert "Remembered." not in page.locator("main").inner_text()
    press(page, "Discard")


def test_a_discarded_upload_leaves_nothing_behind(
    project: Project, open_page: Callable[..., Watched], tmp_path: Path
) -> None:
    page = open_page().page
    file = tmp_path / "grades.csv"
    file.write_text("\n".join(_ROWS))
    _choose(page, project, file, "never-stored")
    waiting = page.url
    press(page, "Discard")
    assert page.url == f"{project.url}/ui/anchor-sets"
    assert "never-stored" not in page.locator("main").inner_text()
    page.goto(waiting)
    assert "may have expired" in page.locator("main").inner_text()


@pytest.fixture(scope="module")
def locked(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that has a key already, in `app.state.token`, and one for reading alone."""
    folder = tmp_path_factory.mktemp("locked")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
            made = client.post("/keys", json={"name": "all", "scopes": ["admin"]}).json()
            running.app.state.token = made["token"] if "token" in made else made["key"]
        with running.client(running.app.state.token) as client:
            made = client.post("/keys", json={"name": "reader", "scopes": ["read"]}).json()
            running.app.state.reader = made["token"] if "token" in made else made["key"]
        yield running


def test_signing_in_opens_the_page_that_was_asked_for_and_signing_out_closes_it(
    locked: RunningService, open_page: Callable[..., Watched]
) -> None:
    page = open_page(script=False).page
    page.goto(f"{locked.url}/ui/rubrics/support?version=1")
    assert "/ui/sign-in" in page.url
    type_into(page, "#key", "vk000000000000.wrong")
    enter(page)
    assert "not valid" in page.locator("[role=alert]").inner_text()
    type_into(page, "#key", locked.app.state.token)
    enter(page)
    assert page.url == f"{locked.url}/ui/rubrics/support?version=1"

    (cookie,) = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert locked.app.state.token.partition(".")[2] not in cookie["value"]

    press(page, "Sign out")
    page.goto(f"{locked.url}/ui")
    assert "/ui/sign-in" in page.url


def test_a_key_for_reading_sees_no_way_to_upload(
    locked: RunningService, open_page: Callable[..., Watched]
) -> None:
    page = open_page().page
    page.goto(f"{locked.url}/ui/anchor-sets")
    type_into(page, "#key", locked.app.state.reader)
    enter(page)
    assert page.get_by_role("link", name="Upload human grades").count() == 0
    refused = page.goto(f"{locked.url}/ui/anchor-sets/upload")
    assert refused is not None
    assert refused.status == 403
    assert "'anchors'" in page.locator("main").inner_text()


def _choose(page: Page, project: Project, file: Path, anchor_set: str) -> None:
    page.goto(f"{project.url}/ui/anchor-sets/upload?rubric=support")
    page.locator("#file").set_input_files(file)  # the file dialog itself is the system's
    type_into(page, "#anchor_set", anchor_set)
    enter(page)


def _send_back(page: Page, folder: Path, content: str) -> None:
    file = folder / "sent-back.csv"
    file.write_text(content)
    page.locator("#corrections").set_input_files(file)
    page.get_by_role("button", name="Put the mended rows in").focus()
    enter(page)


def _pick(page: Page, ours: str, theirs: str) -> None:
    select = page.locator(f'select[name="column:{ours}"]')
    select.focus()
    page.keyboard.type(theirs)  # a focused select jumps to the option that starts so
    assert select.input_value() == theirs


def _selected(page: Page, ours: str) -> str:
    return page.locator(f'select[name="column:{ours}"]').input_value()
