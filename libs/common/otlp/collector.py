"""Where telemetry goes: exporters for OTLP over gRPC that hold nothing up. Used by `pipeline`.

grpc costs 30 MB and a quarter of a second, so it is imported by the exporting thread, with the
first batch, and only in processes that have an endpoint.
"""

from __future__ import annotations

import base64
import importlib
import logging
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

ATTEMPT_SECONDS = 5.0
"""For one batch with all its retries; what cannot be delivered is dropped."""
Signal = Literal["traces", "metrics", "logs"]
_VENDOR = "opentelemetry.exporter.otlp.proto.grpc"
_EXPORTERS: dict[Signal, tuple[str, str]] = {
    "traces": (f"{_VENDOR}.trace_exporter", "OTLPSpanExporter"),
    "metrics": (f"{_VENDOR}.metric_exporter", "OTLPMetricExporter"),
    "logs": (f"{_VENDOR}._log_exporter", "OTLPLogExporter"),
}
_log = logging.getLogger("opentelemetry.gca")


class Collector:
    """An endpoint; a user and password in it become an authorization header and are not shown."""

    def __init__(self, endpoint: str, ca_bundle: Path | None = None) -> None:
        address = urlsplit(endpoint)
        self._secure = address.scheme == "https"
        # The vendor's messages repeat the endpoint, so it gets none with a login.
        self._host = address.netloc.rpartition("@")[2]
        login = f"{unquote(address.username or '')}:{unquote(address.password or '')}"
        coded = base64.b64encode(login.encode()).decode()
        self._headers = {"authorization": f"Basic {coded}"} if address.username else None
        self._ca_bundle = ca_bundle

    def __repr__(self) -> str:
        return f"Collector({self._host!r})"

    def exporter(self, signal: Signal) -> Any:
        """The vendor's exporter of one signal; imports grpc."""
        # grpc's core writes to stderr on its own otherwise, once per failed connection.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        module, name = _EXPORTERS[signal]
        return getattr(importlib.import_module(module), name)(
            endpoint=f"{'https' if self._secure else 'http'}://{self._host}",
            insecure=not self._secure,
            credentials=self._credentials() if self._secure else None,
            headers=self._headers,
            timeout=ATTEMPT_SECONDS,
        )

    def _credentials(self) -> Any:
        """The machine's authorities and those of CA_BUNDLE; None leaves it to grpc."""
        if self._ca_bundle is None:
            return None
        system = ssl.get_default_verify_paths().cafile
        files = [self._ca_bundle, *([Path(system)] if system else [])]
        roots = b"\n".join(file.read_bytes() for file in files if file.is_file())
        return importlib.import_module("grpc").ssl_channel_credentials(root_certificates=roots)


class Late:
    """A vendor's exporter that comes into being with the first batch; no call raises."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        self._lock = threading.Lock()

    def export(self, batch: Any) -> bool:
        """Whether the collector took it."""
        try:
            exporter = self._ready()
            return exporter is not None and str(exporter.export(batch).name) == "SUCCESS"
        except Exception as error:  # noqa: BLE001  telemetry must not fail anything
            _log.warning("%s", type(error).__name__)
            return False

    def shutdown(self) -> None:
        """Cancel what is being sent."""
        made = self._made
        if made is not None:
            made.shutdown()

    def _ready(self) -> Any:
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make()
                except Exception as error:  # noqa: BLE001  a wrong CA_BUNDLE, for one
                    _log.warning("%s", type(error).__name__)
            return self._made
