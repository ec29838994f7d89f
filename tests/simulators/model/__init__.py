"""A simulated model: OpenAI-compatible, scripted, deterministic; see script.py and modes.py."""

from __future__ import annotations

from tests.simulators.model.modes import DEFAULT_MODE, MODES
from tests.simulators.model.server import RecordedRequest, SimulatedModel, running_model

__all__ = ["DEFAULT_MODE", "MODES", "RecordedRequest", "SimulatedModel", "running_model"]
