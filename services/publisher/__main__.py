"""`python -m services.publisher`."""

from __future__ import annotations

from libs.common.service import run
from services.publisher.settings import Settings
from services.publisher.wiring import wire

if __name__ == "__main__":
    run("publisher", Settings, wire)
