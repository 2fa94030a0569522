r"""Win, tie and loss between two systems: Davidson's model of ties on top of Bradley and Terry's strengths.

With eta = theta_i - theta_k and nu = e^gamma, D = e^(eta/2) + nu + e^(-eta/2),

    P(i wins) = e^(eta/2) / D,    P(tie) = nu / D,    P(k wins) = e^(-eta/2) / D.

Davidson (1970), "On extending the Bradley-Terry model to accommodate ties in paired comparison experiments";
nu = 0 is Bradley & Terry (1952), and the log odds of neighbouring outcomes differ by eta/2 -+ gamma (adjacent
categories). A verdict coded y = 1, 1/2, 0 with t = 1 for a tie makes it an exponential family,

    log P(y, t) = y eta + t gamma - A(eta, gamma),    A = eta/2 + log D,

so strengths need only the mean of y, the *win rate* W = P(win) + P(tie)/2, and the share of ties. Hence means
that were corrected on human grades may stand in for counts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Chances of the outcomes of n pairs, each (n,), for the first system of the pair."""

    win: Floats
    tie: Floats
    loss: Floats

    @property
    def win_rate(self) -> Floats:
        """W: ties half."""
        return self.win + 0.5 * self.tie

    @property
    def information(self) -> tuple[Floats, Floats, Floats]:
        """Second derivatives of A, which are also those of W and P(tie): eta eta, eta gamma, gamma gamma."""
        lead = self.win - self.loss
        return (
            0.25 * (self.win + self.loss - lead**2),
            -0.5 * self.tie * lead,
            self.tie * (1.0 - self.tie),
        )


def outcomes(eta: Floats, gamma: float | Floats) -> Outcomes:
    """Of pairs with these differences of strength (n,); gamma -inf: no ties."""
    top = np.maximum(np.abs(eta) / 2, gamma)
    win, tie, loss = np.exp(eta / 2 - top), np.exp(gamma - top), np.exp(-eta / 2 - top)
    total = win + tie + loss
    return Outcomes(win / total, tie / total, loss / total)


def log_partition(eta: Floats, gamma: float | Floats) -> Floats:
    """A(eta, gamma) (n,)."""
    top = np.maximum(np.abs(eta) / 2, gamma)
    total = np.exp(eta / 2 - top) + np.exp(gamma - top) + np.exp(-eta / 2 - top)
    return np.asarray(eta / 2 + top + np.log(total))
