"""`python -m services.reviewer`."""

from __future__ import annotations

from libs.common.service import run
from services.reviewer.settings import Settings
from services.reviewer.wiring import wire

if __name__ == "__main__":
    run("reviewer", Settings, wire)
