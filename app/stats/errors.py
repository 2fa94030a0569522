"""What keeps an estimate from existing."""


class InsufficientData(ValueError):
    """Fewer observations than the estimator needs; an expected outcome that a page shows as such."""

    def __init__(self, what: str, have: int, need: int) -> None:
        super().__init__(f"{what}: have {have}, need at least {need}")
        self.what, self.have, self.need = what, have, need


class NotIdentified(ValueError):
    """The data cannot tell this effect from another, however much of them there is."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is not identified: {why}")
        self.what, self.why = what, why
