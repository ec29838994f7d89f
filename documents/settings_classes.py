"""Every setting of every process, from the settings classes: who reads it, default, meaning.

Called by `configuration`. A name that several classes have is one setting.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from libs.common.launching import contract
from libs.common.launching.budget_settings import BudgetSettings
from libs.common.settings import Common, GitLabSettings, ProjectSettings
from services.coder.settings import Settings as Coder
from services.ingest.settings import Settings as Ingest
from services.publisher.settings import Settings as Publisher
from services.reviewer.settings import Settings as Reviewer
from services.runner.settings import CloneSettings, RunSettings

SERVICES: dict[str, type[Common]] = {
    "ingest": Ingest,
    "reviewer": Reviewer,
    "coder": Coder,
    "publisher": Publisher,
}
STEPS: dict[contract.Step, type[Common]] = {"clone": CloneSettings, "run": RunSettings}


class Setting(NamedTuple):
    """One variable; `readers` in the order of the review's way."""

    name: str
    readers: tuple[str, ...]
    default: str
    secret: bool
    meaning: str
    group: str


def settings() -> list[Setting]:
    """All of them, in the order of the classes."""
    names: dict[str, FieldInfo] = {}
    for kind in (*SERVICES.values(), *STEPS.values()):
        for field, info in kind.model_fields.items():
            names.setdefault(field, info)
    return [_setting(field, info) for field, info in names.items()]


def _setting(field: str, info: FieldInfo) -> Setting:
    name = field.upper()
    readers = _readers(field)
    return Setting(
        name=name,
        readers=readers,
        default=_default(info),
        secret="SecretStr" in str(info.annotation),
        meaning=" ".join(part for part in (info.description or "", _bounds(info)) if part),
        group=_group(field, readers),
    )


def _readers(field: str) -> tuple[str, ...]:
    """A step reads only what its launcher hands it, whatever its class could read."""
    services = [name for name, kind in SERVICES.items() if field in kind.model_fields]
    handed = {
        step: (*contract.STEP_SETTINGS[step], *contract.BOTH_STEPS, contract.CA_BUNDLE)
        for step in STEPS
    }
    steps = [
        f"step {step}"
        for step, kind in STEPS.items()
        if field in kind.model_fields and field.upper() in handed[step]
    ]
    return (*services, *steps)


def _group(field: str, readers: tuple[str, ...]) -> str:
    if field in Common.model_fields:
        return "all"
    if field in GitLabSettings.model_fields or field in ProjectSettings.model_fields:
        return "gitlab"
    if field.upper() in contract.STEP_SETTINGS["clone"]:
        return "gitlab"
    if field in BudgetSettings.model_fields:
        return "budgets"
    if field.startswith("k8s_"):
        return "kubernetes"
    if "step run" in readers:
        return "session"
    if field.startswith("task_door_"):
        return "door"
    return readers[0] if readers else ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if isinstance(value, SecretStr) or value in (None, "", (), {}):
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path):
        return value.as_posix()
    return str(value.value if isinstance(value, Enum) else value)


def _bounds(info: FieldInfo) -> str:
    choices = [str(value) for value in _choices(info.annotation)]
    if choices:
        return f"One of {', '.join(f'`{choice}`' for choice in choices)}."
    low = next((bound.ge for bound in info.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in info.metadata if isinstance(bound, Le)), None)
    return f"{low} to {high}." if low is not None and high is not None else ""


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := _choices(part))), ())
