"""What a process needs to get into NATS: its login, and who vouches for the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from libs.common.authorities import trusting
from libs.common.jetstream.credentials import login


class Access(NamedTuple):
    """`credentials`: a .creds file or the nkey seed of a user; `ca_bundle`: PEM for TLS."""

    credentials: Path | None = None
    ca_bundle: Path | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """As NATS_CREDENTIALS and CA_BUNDLE say it."""
        names = (environment.get(setting) for setting in ("NATS_CREDENTIALS", "CA_BUNDLE"))
        return cls(*(Path(name) if name else None for name in names))

    def options(self) -> dict[str, Any]:
        """The client's options; reads the files, raises `SettingsError` when they cannot be."""
        found: dict[str, Any] = login(self.credentials) if self.credentials else {}
        if self.ca_bundle is not None:
            found["tls"] = trusting(self.ca_bundle)
        return found


OPEN = Access()
"""Without a login, and with the machine's own authorities."""
