"""Which nats-server is new enough: pure. Used at every connection and by `gca doctor`.

An older one takes our streams and leaves out what it does not know, without a word: leases would
never end, and histories would be read in part.
"""

from __future__ import annotations

import re

from libs.common.errors import cut

OLDEST = (2, 11)
"""The first with a lifetime for each message (`Nats-TTL`), which our leases end by."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def too_old(version: str) -> str | None:
    """What is wrong with a server of `version`; None when it will do, or names it otherwise."""
    found = _VERSION.match(version)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST:
        return None
    oldest = ".".join(str(part) for part in OLDEST)
    return f"nats-server {cut(version, 40)} is too old, {oldest} or newer is needed"
