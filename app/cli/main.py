"""The command ``venire``."""


def main() -> None:
    """Entry point; the commands are added by their own modules."""
    raise SystemExit("venire: no command given")
