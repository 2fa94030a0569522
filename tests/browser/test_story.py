"""A whole human story in a real browser: from a file with two wrong rows to a judge's report on paper.

Only what has no page by design comes by other ways: the rubric and the answers to be graded come from a
team's own programs over the API, the first key from the command line.
"""

import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Watched
from tests.browser.keyboard import enter, follow, press, type_into
from tests.browser.test_every_page import screenshot
from tests.running_service import POINTWISE, RunningService, running_service

pytestmark = pytest.mark.browser

PROMPTS, SYSTEMS = 30, ("sly-bot-1", "sly-bot-2")
APART = (2, 5, 8, 11, 14)
"""Of the twenty items of the second person, those on which they are far from the first."""
HEAD = "item_id,prompt,system,answer,annotator,annotator_type,score"
JUDGE = """
[[judges]]
name = "{0}-1"
family = "{0}"
provider = "simulated"
params = {{ severity = {1} }}
"""


@pytest.fixture
def service(_migrated_sqlite: Path, tmp_path: Path) -> Iterator[RunningService]:
    """Answers of two systems to thirty questions, graded by three judges; `app.state.token` opens it."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    judges = tmp_path / "judges.toml"
    harsh = {"alder": 1.0, "birch": 0.0, "cedar": 0.0}
    judges.write_text("".join(JUDGE.format(name, severity) for name, severity in harsh.items()))
    with running_service({"VENIRE_DATA_DIR": str(tmp_path), "VENIRE_JUDGES": str(judges)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
            for prompt in range(PROMPTS):
                for k, system in enumerate(SYSTEMS):
                    body = {
                        "rubric": "support",
                        "item_id": f"q{prompt}",
                        "prompt": _prompt(prompt),
                        "answers": [{"system": system, "text": _answer(prompt, k)}],
                    }
                    assert client.post("/grade", json=body).status_code == 200
            made = client.post("/keys", json={"name": "boss", "scopes": ["admin"]})
            running.app.state.token = made.json()["key"]
        yield running


def _prompt(number: int) -> str:
    return f"How do I mend the lamp number {number}?"


def _answer(number: int, system: int) -> str:
    return f"Turn it {number + system} times."


def test_a_team_takes_its_grades_from_a_file_to_a_judges_report_on_paper(
    service: RunningService, open_page: Callable[..., Watched], tmp_path: Path
) -> None:
    boss = open_page()
    page = boss.page
    page.goto(f"{service.url}/ui")
    type_into(page, "#key", service.app.state.token)
    enter(page)
    assert "Upload human grades for support" in page.locator("#next").inner_text()

    _upload_and_mend(page, tmp_path)
    _see_what_is_missing(page, service)
    _plan_and_draw(page, service)
    links = [_invite(page, who) for who in ("kim", "lee")]
    _grade_all(open_page, links[0], sittings=(7, 20))
    _grade_all(open_page, links[1], sittings=(20,), apart=APART)
    _settle_one(page, service)
    _make_anchors(page)
    _audit_disagreement(page)
    _have_some_graded_cold(page, service, open_page)
    _wait_for_the_calibration(page, service)
    _read_a_judge_and_print(page, service)
    assert boss.complaints == []
    assert [url for url in boss.requests if not url.startswith((service.url, "data:"))] == []


def _upload_and_mend(page: Page, folder: Path) -> None:
    """Two rows of the file are wrong; they are taken away, mended and put back."""
    rows = [f"q{k},{_prompt(k)},{SYSTEMS[0]},{_answer(k, 0)},ann,expert,{1 + k % 5}" for k in range(18)]
    bad = folder / "grades.csv"
    bad.write_text("\n".join([HEAD, *rows[:16], rows[16][:-1] + "9", rows[17].replace("expert", "gpt-4")]))
    follow(page, "Upload a file")
    page.locator("#file").set_input_files(bad)  # the file dialog itself is the system's
    type_into(page, "#anchor_set", "people")
    enter(page)
    assert page.locator("[role=alert]").inner_text().startswith("Not ready.")
    _look(page, "wrong rows")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download every wrong row (CSV)").focus()
        page.keyboard.press("Enter")
    wrong = Path(download.value.path()).read_text()
    assert len(wrong.splitlines()) == 3
    mended = folder / "mended.csv"
    mended.write_text(wrong.replace(",9", ",2").replace("gpt-4", "expert"))
    page.locator("#corrections").set_input_files(mended)
    press(page, "Put the mended rows in")
    assert "2 rows stand corrected." in page.locator("main").inner_text()
    press(page, "Store")
    assert "Stored." in page.locator("[role=status]").inner_text()


def _see_what_is_missing(page: Page, service: RunningService) -> None:
    """The set's page says what it lacks, the calibration why it could not be."""
    lacks = page.locator("main").inner_text()
    assert "One person gave every grade" in lacks
    assert "Have some answers graded twice" in lacks
    _look(page, "set")
    _reload_until(page, f"{service.url}/ui", "could not be calibrated")
    follow(page, "What is missing")
    assert "20" in page.locator("main").inner_text()
    page.goto(f"{service.url}/ui")
    follow(page, "Plan more human grades")


def _plan_and_draw(page: Page, service: RunningService) -> None:
    """The planner leads to a queue of as many items; the team has time for twenty, each for two people."""
    assert "Begin with 60 grades" in page.locator("main").inner_text()
    follow(page, "Draw them into a queue")
    type_into(page, "#name", "second look")
    type_into(page, "#anchor_set", "people")
    press(page, "Make the queue")
    assert page.locator("#grades").input_value() == "60"
    type_into(page, "#grades", "20")
    type_into(page, "#doubles", "100")
    press(page, "Draw")
    assert "20 items drawn from 42" in page.locator("[role=status]").inner_text()


def _invite(page: Page, who: str) -> str:
    type_into(page, "#invited", who)
    press(page, "Make the link")
    _look(page, "queue")
    return page.locator("#link").inner_text()


def _grade_all(
    open_page: Callable[..., Watched], link: str, *, sittings: tuple[int, ...], apart: tuple[int, ...] = ()
) -> None:
    """By keys alone; after each sitting the browser is closed, and the link goes on from there."""
    for first, last in itertools.pairwise((0, *sittings)):
        watched = open_page()
        page = watched.page
        page.goto(link)
        press(page, "Begin")
        for done in range(first, last):
            text = page.locator("main").inner_text()
            assert f"{done} graded" in text
            assert not any(system in text for system in SYSTEMS)
            page.keyboard.press(str(_felt(text, far=done in apart)))
            with page.expect_navigation():
                page.keyboard.press("Control+Enter")
        if last == sittings[-1]:
            assert "All done." in page.locator("[role=status]").inner_text()
        assert watched.complaints == []
        page.context.close()


def _felt(text: str, *, far: bool) -> int:
    """What people give a question; or something far from it."""
    number = int(re.search(r"lamp number (\d+)", text)[1])  # type: ignore[index]
    felt = 1 + number % 5
    return felt if not far else 5 if felt <= 3 else 1


def _settle_one(page: Page, service: RunningService) -> None:
    """A third person looks at the first item that people are apart on, and sides with one of them."""
    page.goto(f"{service.url}/ui/annotate/second%20look")
    assert "40 of 40" in page.locator("main").inner_text()
    settle = page.get_by_role("button", name="Settle", exact=True)
    assert settle.count() == len(APART)
    page.locator("input[id^=who-]").first.focus()
    page.keyboard.type("max")
    _look(page, "apart")
    enter(page)
    text = page.locator("main").inner_text()
    assert "Grader 1" in text
    assert not any(name in text for name in ("kim", "lee", *SYSTEMS))
    page.keyboard.press(page.locator("article.card strong").first.inner_text())
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    assert settle.count() == len(APART) - 1
    assert page.locator("input[id^=who-]").first.input_value() == "max"


def _make_anchors(page: Page) -> None:
    press(page, "Make anchors of the grades")
    assert "41 grades are in version 2 of people" in page.locator("[role=status]").inner_text()


def _audit_disagreement(page: Page) -> None:
    """Of forty grades and one that settled: its share of real disagreements is what a hand counts."""
    follow(page, "Audit the set")
    assert page.locator("#set-disagreement").input_value() == "people"
    press(page, "Audit disagreement")
    _reload_until(page, page.url, "Real disagreements")
    row = page.locator("tr", has_text="Real disagreements").first.inner_text()
    _look(page, "audit")
    pairs = 20 - 1 + 3  # of the settled item three people's, who are apart in two of them
    assert f"{100 * (len(APART) + 1) / pairs:.1f}%" in row
    assert f"{pairs} pairs" in row


def _have_some_graded_cold(page: Page, service: RunningService, open_page: Callable[..., Watched]) -> None:
    """Somebody who has never seen them grades twenty of the set's anchors, and the two are held together."""
    page.goto(f"{service.url}/ui/audits?anchor_set=people")
    press(page, "Grade some once more, cold")
    type_into(page, "#items", "20")
    press(page, "Plan again")
    assert "20 anchors tell" in page.locator("main").inner_text()
    _look(page, "cold plan")
    press(page, "Draw them")
    queue = page.url
    _grade_all(open_page, _invite(page, "ned"), sittings=(20,))
    page.goto(queue)
    press(page, "Audit disagreement")
    _reload_until(page, page.url, "cold grades really differ from those on record")
    _look(page, "cold audit")


def _wait_for_the_calibration(page: Page, service: RunningService) -> None:
    _reload_until(page, f"{service.url}/ui", "Read the results")
    _look(page, "overview")


def _read_a_judge_and_print(page: Page, service: RunningService) -> None:
    follow(page, "Judges")
    follow(page, "alder-1")
    severity = page.locator("article.effect", has_text="Severity").inner_text()
    assert "95% interval" in severity
    assert "n 38" in severity
    _look(page, "judge")
    assert _sheets(page) == 1
    page.goto(f"{service.url}/ui/quality?rubric=support")
    follow(page, "A report to print")
    assert "by human standards" in page.locator("main").inner_text()
    assert _sheets(page) == 1


def _look(page: Page, name: str) -> None:
    """The page keeps inside its window on a telephone and on a desk."""
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, width)
        screenshot(page, f"story {name}", width, "light")


def _sheets(page: Page) -> int:
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b", printed))


def _reload_until(page: Page, address: str, says: str) -> None:
    """As a person would who waits for it."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        page.goto(address)
        if says in page.locator("main").inner_text():
            return
        time.sleep(0.3)
    raise AssertionError(f"{address} never says {says!r}: {page.locator('main').inner_text()}")
