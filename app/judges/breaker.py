"""A provider that keeps failing is left alone for a while, so that it costs a panel one fast failure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after ``failures`` attempts in a row; for ``cooldown_s``, doubled each time a probe fails.

    A time-out counts only if the provider had at least ``patience_s``: a caller in a hurry says nothing
    about the provider.
    """

    failures: int = 5
    cooldown_s: float = 10.0
    longest_s: float = 120.0
    patience_s: float = 5.0


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row of one endpoint (provider, address and key). Times are event-loop seconds.

    Closed: every call may go. Open: none may, until the cooldown has passed. Then one probe may; while it
    is under way nobody else; its success closes the breaker, its failure opens it again for twice as long.
    """

    policy: BreakerPolicy = BreakerPolicy()
    failures: int = 0
    last_error: str = ""
    open_until: float | None = None
    cooldown_s: float = 0.0
    probing: bool = False

    def why_not(self, now: float) -> str | None:
        """Why no call may go now; None if one may."""
        if self.open_until is None or (not self.probing and now >= self.open_until):
            return None
        left = max(0.0, self.open_until - now)
        again = "being tried again now" if self.probing else f"tried again in {left:.0f} s"
        return f"not called: {self.failures} failures in a row, {again}; the last was: {self.last_error}"

    def begin(self) -> bool:
        """A call goes, `why_not` having been None. True if it is the probe.

        The caller owes a `succeeded`, `failed` or `left`.
        """
        self.probing = self.open_until is not None
        return self.probing

    def succeeded(self) -> None:
        """The provider answered, if only to say no."""
        self.failures, self.open_until, self.cooldown_s, self.probing = 0, None, 0.0, False

    def failed(self, now: float, error: str, *, probe: bool) -> None:
        """The provider could not be reached, hung, or broke down."""
        self.failures += 1
        self.last_error = error
        if probe or (self.open_until is None and self.failures >= self.policy.failures):
            self.cooldown_s = min(self.policy.longest_s, 2 * self.cooldown_s or self.policy.cooldown_s)
            self.open_until = now + self.cooldown_s
        if probe:
            self.probing = False

    def left(self, *, probe: bool) -> None:
        """The call ended without telling anything of the provider: cancelled, or cut short by its caller."""
        if probe:
            self.probing = False
