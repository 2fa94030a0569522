import pytest

from tests.judges.conftest import KEY, ask, judge_of, unscored_of
from tests.provider_server.server import Provider

PROTOCOLS = ["openai", "openai-responses", "anthropic"]
LENGTH = "content-length"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_later_calls_repeat_the_sdks_own_headers_and_address(provider: Provider, quiet_lines, protocol):
    judge = judge_of(quiet_lines, provider.url(protocol), "alpha", protocol)
    for _ in range(3):
        assert (await ask(judge)).scores
    first, *later = provider.requests
    assert any(KEY in first.headers[name] for name in ("authorization", "x-api-key") if name in first.headers)
    for request in later:
        assert request.path == first.path
        assert {k: v for k, v in request.headers.items() if k != LENGTH} == {
            k: v for k, v in first.headers.items() if k != LENGTH
        }
        assert int(request.headers[LENGTH]) > 100


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_first_call_that_is_refused_is_a_pattern_as_good_as_another(
    provider: Provider, quiet_lines, protocol
):
    judge = judge_of(quiet_lines, provider.url(protocol), "alpha!400;times=1", protocol)
    assert "400" in unscored_of(await ask(judge)).detail
    assert (await ask(judge)).scores


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_first_call_that_brought_no_reply_is_no_pattern(provider: Provider, quiet_lines, protocol):
    judge = judge_of(quiet_lines, provider.url(protocol), "alpha!reset;times=1", protocol)
    assert (await ask(judge)).scores
    assert (await ask(judge)).scores
