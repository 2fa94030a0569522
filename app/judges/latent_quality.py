"""Texts of known quality, for simulations.

Nothing here reads a text as a model would: its quality is a number drawn from its hash, so a simulation
knows the truth about every text that it shows.
"""

from hashlib import blake2b
from math import sqrt
from random import Random
from statistics import NormalDist

_NORMAL = NormalDist()
_CRITERION_SHARE = 0.4
"""Share of the variance of quality that is a criterion's own; two criteria correlate by the rest, .6."""


def latent_quality(text: str, criterion: str | None = None) -> float:
    """The true quality of a text, a standard normal variable over texts.

    Drawn from a hash of the text, blanks at both ends apart: the same text has the same quality on every
    machine, and any other text one that tells nothing of it. Without a criterion it is the quality that
    all criteria share; qualities on two criteria correlate by .6, each with the shared one by .77.
    """
    stripped = text.strip()
    shared = normal("quality", stripped)
    if criterion is None:
        return shared
    own = normal("quality", stripped, criterion)
    return sqrt(1 - _CRITERION_SHARE) * shared + sqrt(_CRITERION_SHARE) * own


def text_of_quality(
    target: float,
    rng: Random,
    n_words: int = 60,
    *,
    criterion: str | None = None,
    tolerance: float = 0.05,
    opening: str = "",
) -> str:
    """A text of about ``n_words`` words whose `latent_quality` lies within ``tolerance`` of ``target``.

    The words are plain and carry no meaning; ``opening`` is put first. Only the last two words are
    searched for, so all texts of one call look alike.

    Raises
    ------
    ValueError
        If ``target`` lies beyond three and a half standard deviations, where no search would end soon.
    """
    if not abs(target) <= 3.5:
        raise ValueError(f"no text of quality {target} can be found; ask for one between -3.5 and 3.5")
    head = [opening] if opening else []
    head += rng.choices(_WORDS, k=max(n_words - 2 - len(opening.split()), 1))
    stem = " ".join(head).capitalize() if not opening else " ".join(head)
    while True:
        text = f"{stem} {rng.choice(_WORDS)} {rng.randrange(10_000)}."
        if abs(latent_quality(text, criterion) - target) <= tolerance:
            return text


def uniform(*key: object) -> float:
    """A number in (0, 1) that depends on the key alone."""
    digest = blake2b("\x1f".join(map(str, key)).encode("utf-8", "replace"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) * 2.0**-64


def normal(*key: object) -> float:
    """A standard normal number that depends on the key alone."""
    return _NORMAL.inv_cdf(min(uniform(*key), 1 - 2.0**-53))


_PLAIN = """\
account address agree allow answer apply arrive ask balance begin below bill bring build call carry change
charge check choose clear close collect come compare complete confirm contact copy cover create day deliver
describe detail direct early enter explain follow form found full give group hold hour include keep large
late later leave letter line list local long look mark measure meet month move name near need never next
note number offer often open order other page part pay place plan point present price quick reach read
ready reason receive record remain reply report rest return review right round same save second send
service set several short show side simple small state step still store table take term then time today
total turn under until use visit wait way week while whole word work write year
"""
_WORDS = _PLAIN.split()
