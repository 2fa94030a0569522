"""Times as they are stored: Unix milliseconds, UTC."""

from datetime import UTC, datetime


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware ``moment``; a naive one is taken to be UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def from_ms(value: int) -> datetime:
    """The aware UTC moment of ``value``."""
    return datetime.fromtimestamp(value / 1000, UTC)


def maybe_from_ms(value: int | None) -> datetime | None:
    """`from_ms`, passing None on."""
    return None if value is None else from_ms(value)
