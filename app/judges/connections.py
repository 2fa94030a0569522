"""How connections to providers are kept, the same for every SDK."""

import httpx2

MOST_CONNECTIONS = (
    500  # per endpoint and process; how many are used is for a judge's `max_concurrency` to say
)

LIMITS = httpx2.Limits(
    max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS, keepalive_expiry=60.0
)

TIMEOUT = httpx2.Timeout(None, connect=20.0)
"""Only connecting has a limit of its own: the whole call is bounded by its deadline (`app.judges.call`)."""
