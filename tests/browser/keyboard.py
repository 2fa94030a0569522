"""What a person without a mouse does."""

from playwright.sync_api import Page


def type_into(page: Page, selector: str, text: str) -> None:
    """In place of what stands there."""
    page.locator(selector).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def enter(page: Page) -> None:
    """Press Enter and wait for the page that it leads to."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def press(page: Page, name: str) -> None:
    """A button, by its words."""
    page.get_by_role("button", name=name, exact=True).focus()
    enter(page)


def follow(page: Page, name: str) -> None:
    """The first link of these words."""
    page.get_by_role("link", name=name, exact=True).first.focus()
    enter(page)


def tab_to(page: Page, selector: str) -> None:
    """Until the focus is there."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")
