"""Settings of the coder; read by `__main__`, turned into adapters by `wiring`."""

from __future__ import annotations

from typing import ClassVar

from libs.common.launching.settings import JobSettings


class Settings(JobSettings):
    """What the coder reads."""

    health_default: ClassVar[int] = 8083
