"""What providers say of their limits in the headers of every reply."""

from collections.abc import Mapping

from app.domain.rates import RateKind

_NAMES = {
    RateKind.REQUESTS: (
        ("x-ratelimit-remaining-requests", "x-ratelimit-limit-requests"),
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-limit"),
    ),
    RateKind.TOKENS: (
        ("x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-limit"),
    ),
}


def remaining(headers: Mapping[str, str]) -> dict[RateKind, float]:
    """How much is left, as far as the reply says."""
    return _read(headers, 0)


def allowances(headers: Mapping[str, str]) -> dict[RateKind, float]:
    """What the provider allows in all, as far as the reply says."""
    return _read(headers, 1)


def _read(headers: Mapping[str, str], which: int) -> dict[RateKind, float]:
    found = {}
    for kind, pairs in _NAMES.items():
        for pair in pairs:
            said = headers.get(pair[which])
            if said is not None and said.isdecimal():
                found[kind] = float(said)
                break
    return found
