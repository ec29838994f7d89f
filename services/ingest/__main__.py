"""Starts ingest: `python -m services.ingest`."""

from __future__ import annotations

from libs.common.service import run
from services.ingest.settings import Settings
from services.ingest.wiring import wire

if __name__ == "__main__":
    run("ingest", Settings, wire)
