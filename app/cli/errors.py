"""How a command ends: its exit codes, and the errors that are expected and told in words."""

from typing import Any

OK, FAILED, FINDING, INCONCLUSIVE = 0, 1, 2, 3
"""Done; it could not run; it ran and found something (worse, refused); the data cannot tell."""

_UNDECIDED = {"/problems/insufficient-data", "/problems/not-identified"}
_MOST_SHOWN = 50


class CannotRun(Exception):
    """A command that cannot do its work, in words. ``gone`` says that the service did not answer at all."""

    def __init__(self, words: str, *, gone: bool = False) -> None:
        super().__init__(words)
        self.gone = gone


class Refused(Exception):
    """An error that the service answered, as its problem document (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title")))
        self.problem = problem

    @property
    def code(self) -> int:
        """The exit code: data that cannot tell are inconclusive, anything else did not run."""
        return INCONCLUSIVE if self.problem.get("type") in _UNDECIDED else FAILED

    def lines(self) -> list[str]:
        """The problem in words: what, and then every single thing that is wrong."""
        problem = self.problem
        said = [f"{problem.get('title', 'The service refused')}: {problem.get('detail', '')}".rstrip(": ")]
        said += problem_lines(problem.get("errors") or [])
        if counts := problem.get("counts"):
            said += ["in all:", *(f"  {count:,} × {wording}" for wording, count in counts.items())]
        if problem.get("status") == 401:
            said.append("Give the key with --key, or in VENIRE_KEY.")
        return said


def problem_lines(errors: list[dict[str, Any]], most: int = _MOST_SHOWN) -> list[str]:
    """One line per thing that is wrong, with its place and value; the rest are counted."""
    lines = []
    for error in errors[:most]:
        row = f"row {error['row']}" if error.get("row") is not None else None
        place = ", ".join(str(part) for part in (error.get("path"), row, error.get("column")) if part)
        value = f" (given: {error['value']!r})" if error.get("value") is not None else ""
        lines.append(f"  {place + ': ' if place else ''}{error.get('problem', '')}{value}")
    if len(errors) > most:
        lines.append(f"  … and {len(errors) - most:,} more; --json has them")
    return lines
