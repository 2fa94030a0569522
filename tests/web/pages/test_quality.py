"""What the quality page says before there is a calibration."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.web.pages import quality

URL = "/ui/quality?rubric=point"


def test_without_verdicts_it_says_how_to_get_some(client: httpx2.Client) -> None:
    assert "No verdicts yet." in client.get("/ui/quality?rubric=pair").text


def test_raw_means_show_as_what_they_are(client: httpx2.Client, ask: Callable[..., dict[str, Any]]) -> None:
    ask()
    text = client.get(URL).text
    assert "bot-0" in text
    assert "judges only" in text
    assert "upload human grades" in text.lower()
    assert "Missing verdicts" not in text  # none is


def test_too_many_verdicts_to_add_up_are_left_to_a_calibration(
    client: httpx2.Client, ask: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    monkeypatch.setattr(quality, "MOST_RAW", 1)
    text = client.get(URL).text
    assert "Not calibrated." in text
    assert "verdicts are on record" in text
    assert "<table" not in text
