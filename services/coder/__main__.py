"""`python -m services.coder`."""

from __future__ import annotations

from libs.common.service import run
from services.coder.settings import Settings
from services.coder.wiring import wire

if __name__ == "__main__":
    run("coder", Settings, wire)
