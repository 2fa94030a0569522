"""The desk for every kind of rubric: by keyboard, with and without its script, at every width."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Watched
from tests.browser.keyboard import tab_to
from tests.browser.test_every_page import LOOKS, screenshot, violations_at
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.browser

SYSTEMS = ("sly-bot-1", "sly-bot-2", "sly-bot-3")
ITEMS = 3


def _criterion(name: str, **scale: Any) -> dict[str, Any]:
    return {"name": name, "description": f"What {name} means.", "scale": scale}


def _rubric(kind: str, *criteria: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "instructions": "You judge a support assistant.", "criteria": list(criteria)}


FIVE = {"min": 1, "max": 5, "step": 1}
RUBRICS = {
    "two": _rubric("pointwise", _criterion("help", **FIVE), _criterion("tone", labels=["rude", "kind"])),
    "pair": _rubric("pairwise", _criterion("taste", **FIVE)),
    "list": _rubric("listwise", _criterion("help", **FIVE)),
    "wide": _rubric(
        "pointwise",
        _criterion("ten", min=0, max=10, step=1),
        _criterion("halves", min=0, max=2, step=0.5),
        _criterion("share", min=0, max=100, step=None),
    ),
}
SHOWN = {"two": 1, "pair": 2, "list": 3, "wide": 1}


@pytest.fixture(scope="module")
def service(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Every rubric with answers that judges have seen."""
    folder = tmp_path_factory.mktemp("kinds")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running:
        with running.client() as client:
            for name, rubric in RUBRICS.items():
                made = client.put(f"/rubrics/{name}", json=rubric)
                assert made.status_code == 201, made.text
                for item in range(ITEMS):
                    answers = [
                        {"system": system, "text": f"Answer of quality {3 - k}, to {item}."}
                        for k, system in enumerate(SYSTEMS[: SHOWN[name]])
                    ]
                    body = {"rubric": name, "item_id": f"q{item}", "prompt": f"Lamp {item}?"}
                    assert client.post("/grade", json={**body, "answers": answers}).status_code == 200
        yield running


@pytest.fixture
def desk(service: RunningService, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The address of a new queue's desk for kim; the queue is called by the rubric and the test."""

    def make(rubric: str) -> str:
        name = f"{rubric}-{abs(hash(request.node.name)):x}"
        with service.client() as client:
            body = {"name": name, "rubric": rubric, "anchor_set": f"{name}-people"}
            assert client.post("/annotation-queues", json=body).status_code == 201
            named = [{"item_id": f"q{k}", "systems": SYSTEMS[: SHOWN[rubric]]} for k in range(ITEMS)]
            added = client.post(f"/annotation-queues/{name}/items", json={"items": named})
            assert added.json() == {"added": ITEMS}, added.text
        return f"{service.url}/ui/annotate/{name}/grade?annotator=kim&annotator_type=expert"

    return make


def _quality(text: str) -> int:
    """Of an answer, as it says itself: 3 is the best."""
    return int(text.split("quality ")[1][0])


def _deserved(page: Page, rubric: str) -> list[str]:
    """The keys that say of each thing asked what the texts deserve."""
    qualities = [_quality(text) for text in page.locator("article .text").all_inner_texts()]
    if rubric == "pair":
        return ["1" if qualities[0] > qualities[1] else "3"]
    return [str(one + 1) for one in qualities] if rubric == "list" else ["4", "2"]


@pytest.mark.parametrize("rubric", ["two", "pair", "list"])
def test_a_kind_is_graded_by_its_keys_alone(
    service: RunningService, open_page: Callable[..., Watched], desk: Callable[[str], str], rubric: str
) -> None:
    watched = open_page()
    page = watched.page
    page.goto(desk(rubric))
    for _ in range(ITEMS):
        assert not any(system in page.locator("main").inner_text() for system in SYSTEMS)
        for key in _deserved(page, rubric):
            page.keyboard.press(key)
        with page.expect_navigation():
            page.keyboard.press("Control+Enter")
    assert "All done." in page.locator("[role=status]").inner_text()
    _same_as_deserved(service, page, rubric)
    assert watched.complaints == []


@pytest.mark.parametrize("rubric", ["two", "pair", "list"])
def test_a_kind_is_graded_without_the_script(
    service: RunningService, open_page: Callable[..., Watched], desk: Callable[[str], str], rubric: str
) -> None:
    page = open_page(script=False).page
    page.goto(desk(rubric))
    assert page.locator("kbd:visible").count() == 0  # no key is promised that nobody hears
    for _ in range(ITEMS):
        for k, key in enumerate(_deserved(page, rubric)):
            tab_to(page, f"fieldset:nth-of-type({k + 1}) input")
            page.keyboard.press("Space")
            for _ in range(int(key) - 1):
                page.keyboard.press("ArrowRight")
        with page.expect_navigation():
            page.keyboard.press("Enter")
    assert "All done." in page.locator("[role=status]").inner_text()
    _same_as_deserved(service, page, rubric)


def _same_as_deserved(service: RunningService, page: Page, rubric: str) -> None:
    """The person's own page says what they said, and the anchors say it of the right systems."""
    with page.expect_navigation():
        page.get_by_role("link", name="What you graded").click()
    said = page.locator("tbody tr").all_inner_texts()
    assert len(said) == ITEMS
    assert all("Lamp" in one and "graded" in one for one in said)
    if rubric == "two":
        assert all("help: 4; tone: kind" in one for one in said)
    if rubric == "pair":
        assert all("A is better" in one or "B is better" in one for one in said)
    with service.client() as client:
        queue = page.url.split("/annotate/")[1].split("/")[0]
        assert client.post(f"/annotation-queues/{queue}/publish").status_code == 200
        exported = client.get(f"/anchor-sets/{queue}-people/export", params={"format": "jsonl"}).text
    grades = [json.loads(line) for line in exported.splitlines()]
    for one in grades:
        if rubric == "pair":
            assert one["score"] == (1 if _quality(one["answer_a"]) > _quality(one["answer_b"]) else -1)
        if rubric == "list":
            assert one["score"] == _quality(one["answer"]) + 1
    assert len(grades) == {"two": 2, "pair": 1, "list": 3}[rubric] * ITEMS


_WHERE = """() => {
  const at = document.activeElement;
  return at.getAttribute("aria-label") || at.id || (at.name ? `${at.name}=${at.value}` : at.innerText);
}"""


def test_focus_goes_from_what_is_read_to_what_is_said_to_what_sends_it(
    open_page: Callable[..., Watched], desk: Callable[[str], str]
) -> None:
    page = open_page().page
    page.goto(desk("two"))
    page.locator("main").focus()
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(_WHERE))
    radios = ["score:0:0=1", "score:1:0=1"]
    sending = ["note", "action=submit", "action=draft", "skip_reason", "action=skip", "keys", "The rubric"]
    assert stops == ["What you graded", "Question", "Answer", *radios, *sending]


def test_keys_go_on_to_what_is_unsaid_and_are_shown_where_the_label_is_another(
    open_page: Callable[..., Watched], desk: Callable[[str], str]
) -> None:
    watched = open_page()
    page = watched.page
    page.goto(desk("wide"))
    assert page.locator(".scale .key").all_inner_texts() == ["1", "2", "3", "4", "5"]  # of 0, 0.5, 1, 1.5, 2
    page.keyboard.press("0")
    assert page.locator("input[name='score:0:0'][value='0']").is_checked()
    page.keyboard.press("2")
    assert page.locator("input[name='score:1:0'][value='0.5']").is_checked()
    page.keyboard.type("62.5")  # the cursor stands in the field of the number
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    page.get_by_role("link", name="What you graded").click()
    assert "ten: 0; halves: 0.5; share: 62.5" in page.locator("tbody tr").last.inner_text()

    page.goto(page.url.replace("/mine", "/grade"))
    page.get_by_label("Single keys").uncheck()
    assert page.locator(".key:visible").count() == 0
    page.locator("main").focus()
    page.keyboard.press("3")
    assert page.locator("input[type=radio]:checked").count() == 0
    assert watched.complaints == []


def test_an_item_is_skipped_for_a_reason_and_what_is_missing_is_named(
    open_page: Callable[..., Watched], desk: Callable[[str], str]
) -> None:
    page = open_page().page
    page.goto(desk("two"))
    page.keyboard.press("4")
    page.keyboard.press("Control+Enter")  # the browser itself asks for the tone
    assert page.evaluate("document.activeElement.name") == "score:1:0"
    page.keyboard.press("s")
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    assert "Choose why you leave it ungraded." in page.locator("[role=alert]").inner_text()
    assert page.locator("input[name='score:0:0'][value='4']").is_checked()
    page.keyboard.press("s")
    page.keyboard.type("Another")
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    assert "The note: say the reason" in page.locator("[role=alert]").inner_text().replace("\n", " ")
    page.keyboard.press("n")
    page.keyboard.type("it is a riddle")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    with page.expect_navigation():
        page.keyboard.press("Control+Enter")
    page.get_by_role("link", name="What you graded").click()
    row = page.locator("tbody tr").last.inner_text()
    assert "Another reason" in row
    assert "it is a riddle" in row


def test_a_note_that_was_just_typed_outlives_the_browser(
    service: RunningService, open_page: Callable[..., Watched], desk: Callable[[str], str]
) -> None:
    first = open_page()
    address = desk("two")
    first.page.goto(address)
    question = first.page.locator("article .text").inner_text()
    first.page.keyboard.press("2")
    first.page.keyboard.press("n")
    first.page.keyboard.type("half a thought")
    first.page.goto("about:blank")  # within the second that typing is waited for
    queue = address.split("/annotate/")[1].split("/")[0]
    with service.client() as client:
        until = time.monotonic() + 15
        while time.monotonic() < until:
            before = client.post(f"/annotation-queues/{queue}/next", params={"annotator": "kim"}).json()[
                "item"
            ]
            if before["note"]:
                break
            time.sleep(0.1)
    first.page.context.close()

    again = open_page().page
    again.goto(address)
    assert again.locator("article .text").inner_text() == question
    assert again.locator("#note").input_value() == "half a thought"
    assert again.locator("input[name='score:0:0'][value='2']").is_checked()
    again.keyboard.press("1")  # goes to what is unsaid: the tone
    assert again.locator("input[name='score:1:0'][value='1']").is_checked()


@pytest.mark.parametrize("rubric", ["two", "pair", "list", "wide"])
def test_the_desk_of_a_kind_is_accessible_at_every_width(
    service: RunningService, open_page: Callable[..., Watched], desk: Callable[[str], str], rubric: str
) -> None:
    watched = open_page(*LOOKS[0])
    watched.page.goto(desk(rubric))
    watched.page.keyboard.press("2")
    watched.page.locator("#saved", has_text="Saved.").wait_for()
    watched.page.evaluate((files(axe_playwright_python) / "axe.min.js").read_text())
    wrong = []
    for look in LOOKS:
        wrong += violations_at(watched.page, *look)
        screenshot(watched.page, f"desk {rubric}", *look)
    wrong += [url for url in watched.requests if not url.startswith((service.url, "data:"))]
    assert wrong + watched.complaints == []
