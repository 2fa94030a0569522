import pytest

from app.judges.completion import DETAIL_LENGTH, shortened


def test_a_long_message_is_cut_and_put_on_one_line():
    assert shortened("a\n\tb" + "c" * 1000) == "a b" + "c" * (DETAIL_LENGTH - 4) + "…"


@pytest.mark.parametrize(
    "message",
    [
        "Incorrect API key provided: sk-proj-abc***xyz9. Find it at your account",
        "bad header Authorization: Bearer abc.def-ghi",
        "GET https://host/v1beta?key=AIzaSyFake123&alt=json",
        "proxy http://user:hunter22@proxy.example:3128 said no",
        "invalid x-api-key MYOWNKEY99",
    ],
)
def test_no_key_survives_in_a_message(message):
    said = shortened(message, "MYOWNKEY99")
    for secret in ("abc***xyz9", "abc.def-ghi", "AIzaSyFake123", "hunter22", "MYOWNKEY99"):
        assert secret not in said
    assert "***" in said
