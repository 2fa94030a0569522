"""Where anchors say they come from when people graded them here."""


def source_of(queue: str) -> str:
    """The source of a queue's anchors."""
    return f"people grading in the queue {queue}"
