from datetime import UTC, datetime, timedelta

import pytest

from app.web.pages import words
from app.web.pages.addresses import inside, url

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert words.number(-0.104) == "−0.10"
    assert words.number(-0.001) == "0.00"
    assert words.number(0.001, sign=True) == "0.00"
    assert words.number(1234.5, 1) == "1,234.5"


def test_what_is_unknown_is_a_dash_never_a_zero() -> None:
    assert (
        words.number(None) == words.number(float("nan")) == words.interval(None) == words.money(None) == "–"
    )


@pytest.mark.parametrize("width, digits", [(4, 2), (1, 2), (100, 0), (0.01, 4), (0, 2)])
def test_digits_follow_the_width_of_the_scale(width: float, digits: int) -> None:
    assert words.digits_for(width) == digits


def test_times_and_amounts_name_their_units() -> None:
    assert words.ago(NOW - timedelta(hours=2, minutes=5), NOW) == "2 hours ago"
    assert words.ago(NOW, NOW) == "just now"
    assert words.duration(812.4) == "812 ms"
    assert words.duration(1900) == "1.9 s"
    assert words.money(0.0021) == "$0.0021"
    assert words.p_value(0.0001) == "< 0.001"
    assert words.counted(1, "judge") == "1 judge"


def test_addresses_quote_whatever_a_name_holds() -> None:
    assert url("judges", "a/b c") == "/ui/judges/a%2Fb%20c"
    assert url("quality", rubric="r&x=1", by=("system", "stratum.a b"), none=None) == (
        "/ui/quality?rubric=r%26x%3D1&by=system&by=stratum.a+b"
    )


@pytest.mark.parametrize("address", ["//x", "http://x", "/uix", "/ui\\x", "/ui\r\nset-cookie: a", ""])
def test_only_our_own_pages_may_follow_a_sign_in(address: str) -> None:
    assert inside(address) == "/ui"
