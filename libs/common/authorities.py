"""Certificate authorities of the operator's own (`CA_BUNDLE`), as Python's TLS takes them.

Used by the doors of Jira and NATS; those of GitLab, git and the model hand the file on.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from libs.common.errors import SettingsError


def trusting(ca_bundle: str | Path) -> ssl.SSLContext:
    """Trusts those of this file and no others; raises `SettingsError` when it holds none."""
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError:  # ssl.SSLError is one
        problem = "CA_BUNDLE: must be a readable file of certificates in PEM form"
    raise SettingsError([problem])
