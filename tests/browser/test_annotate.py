"""People grade in a real browser: every page of it at every width, drafts, invitations."""

import shutil
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Watched
from tests.browser.keyboard import enter, press, tab_to, type_into
from tests.browser.test_every_page import LOOKS, screenshot, violations_at
from tests.running_service import POINTWISE, RunningService, running_service

pytestmark = pytest.mark.browser

PROMPTS, SYSTEMS = 30, ("sly-bot-1", "sly-bot-2")


@pytest.fixture
def service(_migrated_sqlite: Path, tmp_path: Path) -> Iterator[RunningService]:
    """Answers of two systems to thirty questions, each graded by a panel."""
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(tmp_path)}) as running:
        with running.client() as client:
            assert client.put("/rubrics/support", json=POINTWISE).status_code == 201
            for prompt in range(PROMPTS):
                for k, system in enumerate(SYSTEMS):
                    body = {
                        "rubric": "support",
                        "item_id": f"q{prompt}",
                        "prompt": f"How do I mend the lamp number {prompt}?",
                        "answers": [{"system": system, "text": f"Turn it {prompt + k} times. " * 3}],
                    }
                    assert client.post("/grade", json=body).status_code == 200
        yield running


def test_the_pages_of_a_queue_are_accessible_at_every_width(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    with service.client() as client:
        made = {"name": "look", "rubric": "support", "anchor_set": "people"}
        assert client.post("/annotation-queues", json=made).status_code == 201
        queue = "/annotation-queues/look"
        items = [{"item_id": f"q{k}", "systems": [SYSTEMS[0]]} for k in range(3)]
        assert client.post(f"{queue}/items", json={"items": items, "graders": 2}).status_code == 200
        for who, score in (("kim", 1), ("lee", 5)):
            item = client.post(f"{queue}/next", params={"annotator": who}).json()["item"]["id"]
            said = {"scores": {"helpfulness": [score]}, "note": f"it is {score}"}
            answer = client.put(f"{queue}/items/{item}/grade", params={"annotator": who}, json=said)
            assert answer.status_code == 200
        for who in ("kim", "lee"):  # until both had the same item
            while (
                left := client.post(f"{queue}/next", params={"annotator": who}).json()["item"]
            ) is not None:
                said = {"scores": {"helpfulness": [1 if who == "kim" else 5]}}
                client.put(f"{queue}/items/{left['id']}/grade", params={"annotator": who}, json=said)
        apart = client.get(f"{queue}/disagreements").json()["items"]
    assert len(apart) == 3
    who = "annotator=max&annotator_type=expert"
    pages = {
        "queues": "/ui/annotate",
        "queue": "/ui/annotate/look",
        "settling": f"/ui/annotate/look/settle?item={apart[0]['id']}&{who}",
        "desk": f"/ui/annotate/look/grade?item={apart[0]['id']}&annotator=kim&annotator_type=expert",
        "desk, all done": "/ui/annotate/look/grade?annotator=kim&annotator_type=expert",
        "mine": "/ui/annotate/look/mine?annotator=kim&annotator_type=expert",
        "invitation": "/ui/annotate/enter?key=vk0.x",
    }
    axe = (files(axe_playwright_python) / "axe.min.js").read_text()
    wrong: list[str] = []
    for name, path in pages.items():
        watched = open_page(*LOOKS[0])
        response = watched.page.goto(service.url + path)
        assert response is not None
        assert response.status == 200, (name, watched.page.locator("main").inner_text())
        watched.page.evaluate(axe)
        for look in LOOKS:
            wrong += [f"{name}: {one}" for one in violations_at(watched.page, *look)]
            screenshot(watched.page, f"annotate {name}", *look)
        wrong += [f"{name}: {one}" for one in watched.complaints]
        text = watched.page.locator("main").inner_text()
        if name in ("desk", "settling"):
            assert not any(one in text for one in SYSTEMS)
            assert "lee" not in text
        if name == "desk":
            assert "it is 5" not in text
    assert not wrong, "\n".join(wrong)


def test_what_is_said_is_saved_without_being_sent(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    with service.client() as client:
        made = {"name": "drafts", "rubric": "support", "anchor_set": "people"}
        assert client.post("/annotation-queues", json=made).status_code == 201
        items = [{"item_id": "q1", "systems": [SYSTEMS[0]]}]
        client.post("/annotation-queues/drafts/items", json={"items": items})
    address = f"{service.url}/ui/annotate/drafts/grade?annotator=kim&annotator_type=expert"
    page = open_page().page
    page.goto(address)
    page.keyboard.press("4")
    page.keyboard.press("n")
    page.keyboard.type("long 5 and dull")
    page.locator("#saved", has_text="Saved.").wait_for()
    with service.client() as client:  # the note is saved a second after its last letter
        until = time.monotonic() + 15
        while time.monotonic() < until:
            item = client.post("/annotation-queues/drafts/next", params={"annotator": "kim"}).json()["item"]
            if item["note"] == "long 5 and dull":
                break
            time.sleep(0.1)
    assert (item["scores"], item["note"], item["state"]) == (
        {"helpfulness": [4]},
        "long 5 and dull",
        "open",
    )
    again = open_page().page
    again.goto(address)
    assert again.locator("#note").input_value() == "long 5 and dull"
    assert again.locator("input[type=radio][value='4']").is_checked()


def test_an_invited_person_comes_by_a_link_grades_and_sees_nothing_else(
    service: RunningService, open_page: Callable[..., Watched]
) -> None:
    with service.client() as client:
        made = {"name": "guests", "rubric": "support", "anchor_set": "people"}
        assert client.post("/annotation-queues", json=made).status_code == 201
        items = [{"item_id": "q1", "systems": [SYSTEMS[0]]}]
        assert client.post("/annotation-queues/guests/items", json={"items": items}).status_code == 200
        admin = client.post("/keys", json={"name": "me", "scopes": ["admin"]}).json()["key"]
    boss = open_page(script=False).page
    boss.goto(f"{service.url}/ui/annotate/guests")
    type_into(boss, "#key", admin)
    enter(boss)
    type_into(boss, "#invited", "kim")
    press(boss, "Make the link")
    link = boss.locator("#link").inner_text()
    assert link.startswith(f"{service.url}/ui/annotate/enter?key=")

    page = open_page(script=False).page
    page.goto(link)
    press(page, "Begin")
    assert page.url == f"{service.url}/ui/annotate/guests/grade"
    assert page.locator("nav[aria-label=Main] a").all_inner_texts() == ["Annotate"]
    _by_arrows(page, 4)
    assert "All done." in page.locator("[role=status]").inner_text()
    for elsewhere in ("/ui", "/ui/quality", "/ui/annotate/guests", "/ui/judges", "/ui/grades"):
        refused = page.goto(service.url + elsewhere)
        assert refused is not None
        assert refused.status == 403, elsewhere
    page.goto(f"{service.url}/ui/annotate")
    assert page.url == f"{service.url}/ui/annotate/guests/grade"

    boss.get_by_role("button", name="Take back the invitation of kim").focus()
    enter(boss)
    page.goto(f"{service.url}/ui/annotate/guests/grade")
    assert "/ui/sign-in" in page.url


def _by_arrows(page: Page, score: int) -> None:
    """Without any script: Tab to the scale, arrows to the value, Enter."""
    tab_to(page, "input[type=radio]")
    page.keyboard.press("Space")
    for _ in range(score - 1):
        page.keyboard.press("ArrowRight")
    assert page.locator(f"input[type=radio][value='{score}']").is_checked()
    enter(page)
