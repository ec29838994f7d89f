"""Whether a clone url may be given our token: pure. Called by the reviewer (SR-03, SR-04)."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def clone_url_allowed(
    clone_url: str, gitlab_url: str, external_url: str, *, allow_http: bool = False
) -> bool:
    """Whether the url is on `GITLAB_URL`'s host or on the instance's own external one.

    `external_url` is any web url that the instance reports over the API, such as a project's.
    Scheme, host and port must match. Plain http is for loopback, or with `allow_http`.
    """
    wanted = _origin(clone_url)
    if wanted is None or wanted not in (_origin(gitlab_url), _origin(external_url)):
        return False
    scheme, host, _ = wanted
    return scheme == "https" or allow_http or is_loopback(host)


def same_origin(one: str, other: str) -> bool:
    """Whether two urls have scheme, host and port in common."""
    return _origin(one) is not None and _origin(one) == _origin(other)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None when the url could be read in two ways or has credentials."""
    if any(character in url for character in "\\ \t\r\n\0"):
        return None
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port
