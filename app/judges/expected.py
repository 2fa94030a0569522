"""The mean of a judge's own distribution over a criterion's values, from its tokens' log-probabilities."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

MINIMUM_MASS = 0.9
"""Below this share of probability on valid values there is no expected score.

A provider shows at most the 20 likeliest tokens, and what it hides may be other values. With 90% on valid
ones the mean is off by at most a tenth of the scale's width, and in practice by far less.
"""

_NUMBER = re.compile(r"-?[0-9.]*")


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a reply: its bytes, its log-probability, and the likeliest tokens in its place.

    ``alternatives`` are (text, natural log-probability); the chosen token may be among them or not.
    """

    raw: bytes
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


class TokenisedReply:
    """A reply with its tokens, in which values can be found by their place in the text."""

    def __init__(self, text: str, tokens: Sequence[Token]) -> None:
        self._text = text
        # Tokens may split a character, so places are counted in bytes; tokens of another text say nothing.
        raw = text.encode("utf-8", "replace")
        self._tokens = tuple(tokens) if b"".join(token.raw for token in tokens) == raw else ()

    def expected(self, start: int, choices: Mapping[str, float]) -> float | None:
        """Mean of the distribution over ``choices`` of the value that begins at ``text[start]``.

        ``choices`` maps each value as it may be written (without quotes) to the number it stands for.
        None where the tokens do not tell: too little mass on valid values, or none given.
        """
        if not self._tokens or not choices:
            return None
        wanted = len(self._text[:start].encode("utf-8", "replace"))
        offset = 0
        for index, token in enumerate(self._tokens):
            if offset + len(token.raw) > wanted:
                lead = token.raw[: wanted - offset].decode("utf-8", "replace")
                return expected_value(self._tokens[index:], choices, lead=lead)
            offset += len(token.raw)
        return None


def expected_value(tokens: Sequence[Token], choices: Mapping[str, float], *, lead: str = "") -> float | None:
    """Renormalised mean over ``choices`` of the value that begins within ``tokens[0]``, after ``lead``.

    A value of several tokens is followed along the tokens that the judge chose: an alternative counts as
    soon as it can only be one of the choices ("ex" of "excellent"; not "1" where 1 and 10 are both on the
    scale), with the probability of the path to it. What stays ambiguous counts as no value. None if less
    than `MINIMUM_MASS` lies on valid values, or the chosen tokens never settle on one.
    """
    mass = total = 0.0
    reach, written = 1.0, ""
    for token in tokens:
        chosen = token.raw.decode("utf-8", "replace")
        so_far = _without_lead(chosen, lead) if lead else written + chosen
        if so_far is None:
            return None
        if so_far.strip().strip('"'):
            for text, logprob in (*_others(token, chosen), (chosen, token.logprob)):
                value = _settled(_without_lead(text, lead) if lead else written + text, choices)
                if value is not None:
                    mass += reach * exp(logprob)
                    total += value * reach * exp(logprob)
            if _settled(so_far, choices) is not None:
                return total / mass if mass >= MINIMUM_MASS else None
            reach *= exp(token.logprob)
        written, lead = so_far, ""
        if len(written) > 2 * max(map(len, choices)) + 8:
            return None
    return None


def _others(token: Token, chosen: str) -> list[tuple[str, float]]:
    return [(text, logprob) for text, logprob in token.alternatives if text != chosen]


def _without_lead(text: str, lead: str) -> str | None:
    """What follows the lead in a token that begins before the value, blanks apart; None if it has another."""
    text, lead = text.lstrip(), lead.strip()
    return text[len(lead) :] if text.startswith(lead) else None


def _settled(written: str | None, choices: Mapping[str, float]) -> float | None:
    """The one choice that ``written`` is, or is bound to become."""
    if written is None:
        return None
    written = written.lstrip()
    if written.startswith('"'):
        body, quote, _ = written[1:].partition('"')
        complete = bool(quote)
    else:
        match = _NUMBER.match(written)
        body = match.group() if match else ""
        complete = len(body) < len(written)
    if not body:
        return None
    folded = body.casefold()
    if complete:
        possible = [choice for choice in choices if _same(choice, folded)]
    else:
        possible = [choice for choice in choices if choice.casefold().startswith(folded)]
    return choices[possible[0]] if len(possible) == 1 else None


def _same(choice: str, folded: str) -> bool:
    if choice.casefold() == folded:
        return True
    try:
        return float(choice) == float(folded)
    except ValueError:
        return False
