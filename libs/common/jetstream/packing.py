"""Between an event and the message that holds it: headers, and the claim check for large bodies.

Used by the event log for writing and by everybody who reads.
"""

from __future__ import annotations

import hashlib

import msgspec

from libs.common.errors import Permanent
from libs.common.events import envelope
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Artifact
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.reading import Stored

INLINE = 512 * 1024
"""Bytes of a body that still travel in the event itself."""
ARTIFACT = "gca-artifact"


async def pack(artifacts: Artifacts, new: NewEvent) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a new event; a large body is put away first, then only named."""
    body, headers = envelope.encode(new.event), envelope.headers(new)
    if len(body) <= INLINE:
        return body, headers
    name = hashlib.sha256((new.message_id or new.subject).encode()).hexdigest()[:32]
    kept = await artifacts.put(name, body)
    return msgspec.json.encode(kept), {**headers, ARTIFACT: "1"}


async def unpack(artifacts: Artifacts, stored: Stored) -> Recorded:
    """The event in a message; raises `Permanent` when there is none that we can read."""
    body = stored.body
    if ARTIFACT in stored.headers:
        body = await artifacts.get(_named(body))
    return envelope.recorded(stored.subject, stored.seq, stored.time, body, stored.headers)


def _named(body: bytes) -> Artifact:
    try:
        return msgspec.json.decode(body, type=Artifact)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Permanent(f"not the name of an artifact: {error}") from None
