"""The log that a `gca` command works on: that of NATS_URL, else of the `gca up` that runs here.

Called by `events`, `stats`, `replay`, `dead_letters` and `topology`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from libs.common.errors import AgentError
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from services.ops.doctor.situation import Situation

PATIENCE_SECONDS = 20


def opened_log(
    situation: Situation, client: str = "gca", *, patience: float = PATIENCE_SECONDS
) -> AbstractAsyncContextManager[Connection]:
    """A connection to NATS by the name `client`; raises `AgentError` when nobody says to which."""
    if not situation.nats_url:
        raise AgentError("no `gca up` runs here and NATS_URL is not set: which log is meant?")
    return connected(
        situation.nats_url,
        name=client,
        on_closed=lambda: None,
        access=situation.nats_access,
        patience=patience,
    )
