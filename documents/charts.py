"""`values.schema.json` and `files/settings.json` of the Helm charts, from the settings classes.

Called by `pages`. The schema refuses a setting that no service reads, by its name. The settings
file tells the templates which names they may pass on, and what to say about those that belong
elsewhere: secrets, and what the chart sets by itself.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from documents import chart_values
from documents.settings_classes import SERVICES
from libs.common.launching import contract

LAUNCHING = ("reviewer", "coder")
OWNED = {
    "NATS_URL": "global.natsUrl",
    "NATS_CREDENTIALS": "natsCredentials",
    "CA_BUNDLE": "global.caConfigMap",
    "K8S_JOB_IMAGE": "job.image",
    "K8S_JOB_IMAGE_PULL_POLICY": "job.image.pullPolicy",
    "K8S_JOB_IMAGE_PULL_SECRETS": "job.imagePullSecrets",
    "K8S_JOB_CPU_LIMIT": "job.cpu",
    "K8S_JOB_MEMORY_LIMIT": "job.memory",
    "K8S_JOB_STORAGE_LIMIT": "job.storage",
    "K8S_JOB_TIMEOUT": "job.timeout",
    "K8S_JOB_START_TIMEOUT": "job.startTimeout",
    "K8S_JOB_TTL": "job.ttl",
    "K8S_JOB_SECRETS": "job.secrets",
    "K8S_JOB_CA_CONFIGMAP": "global.caConfigMap",
    "K8S_JOB_HOST_ALIASES": "job.hostAliases",
    "K8S_JOB_NODE_SELECTOR": "job.nodeSelector",
    "K8S_JOB_TOLERATIONS": "job.tolerations",
    "K8S_JOB_EXTRA_ENV": "job.extraEnv",
}
"""Settings that have a value of their own in the chart; given as a setting they are refused."""
FIXED = {
    *("HOST", "PORT", "TASK_DOOR_HOST", "TASK_DOOR_PORT", "HEALTH_HOST", "HEALTH_PORT"),
    *("TASK_EXECUTOR", "K8S_NAMESPACE", "TASK_STATE_DIR", "CLONE_DIR"),
    *("COPILOT_CLI_PATH", "XDG_CACHE_HOME", "ALLOW_UNSANDBOXED_CODING"),
}
"""Settings that the chart or the image decides; the schema does not know them."""
_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean", "array", "object", "null"]}
"""Lists become a comma list, mappings JSON."""


def made() -> dict[str, str]:
    """The files, by path from the repository's root."""
    found: dict[str, str] = {}
    for service in SERVICES:
        folder = f"charts/{service}"
        found[f"{folder}/values.schema.json"] = _text(_schema(service))
        found[f"{folder}/files/settings.json"] = _text(_facts(service))
    found["charts/stack/values.schema.json"] = _text(
        chart_values.stack(_settings(SERVICES), _secrets_of(SERVICES), tuple(SERVICES))
    )
    return found


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _schema(service: str) -> dict[str, Any]:
    return chart_values.service(
        service,
        settings=_settings((service,)),
        secrets=_secret(service),
        job_secrets=_job_secrets() if service in LAUNCHING else (),
        everywhere=(_settings(SERVICES), _secrets_of(SERVICES)),
    )


def _facts(service: str) -> dict[str, Any]:
    kind = SERVICES[service]
    launches = service in LAUNCHING
    return {
        "healthPort": kind.health_default,
        "settings": sorted(_plain(service)),
        "secrets": [name for name in _secret(service) if name not in _model_secrets()],
        "jobSecrets": list(_job_secrets()) if launches else [],
        "modelSecrets": list(_model_secrets()) if launches else [],
        "owned": _owned(service),
        "allSecrets": list(_secrets_of(SERVICES)),
    }


def _plain(service: str) -> dict[str, FieldInfo]:
    """The settings that a person may set by value."""
    fields = {field.upper(): info for field, info in SERVICES[service].model_fields.items()}
    hidden = {*_secret(service), *OWNED, *FIXED}
    return {name: info for name, info in fields.items() if name not in hidden}


def _owned(service: str) -> dict[str, str]:
    fields = {field.upper() for field in SERVICES[service].model_fields}
    return {name: value for name, value in OWNED.items() if name in fields}


def _secret(service: str) -> tuple[str, ...]:
    return tuple(
        field.upper()
        for field, info in SERVICES[service].model_fields.items()
        if "SecretStr" in str(info.annotation)
    )


def _secrets_of(services: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for service in services for name in _secret(service)))


def _job_secrets() -> tuple[str, ...]:
    """What a Job may get from a Secret: of the steps' settings those that are secret."""
    handed = {name for names in contract.STEP_SETTINGS.values() for name in names}
    return tuple(name for name in _secrets_of(LAUNCHING) if name in handed)


def _model_secrets() -> tuple[str, ...]:
    return tuple(name for name in _job_secrets() if name in contract.STEP_SETTINGS["run"])


def _settings(services: Iterable[str]) -> dict[str, Any]:
    """What may stand under `settings`; on some the templates have a sentence to say."""
    found: dict[str, Any] = {}
    for service in services:
        for name, info in _plain(service).items():
            found.setdefault(name, _property(info))
        found |= {name: {} for name in (*_owned(service), *_secret(service))}
    return found


def _property(info: FieldInfo) -> dict[str, Any]:
    about = {"description": info.description} if info.description else {}
    return {**about, **_type(info)}


def _type(info: FieldInfo) -> dict[str, Any]:
    kinds = _kinds(info.annotation)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        return {"enum": [*choices, None]}
    if bool in kinds:
        return {"enum": [True, False, "true", "false", None]}
    if int in kinds:
        bounds: dict[str, Any] = {}
        for bound in info.metadata:
            bounds |= {"minimum": bound.ge} if isinstance(bound, Ge) else {}
            bounds |= {"maximum": bound.le} if isinstance(bound, Le) else {}
        return {"type": ["integer", "string", "null"], "pattern": "^[0-9]+$", **bounds}
    if kinds <= {str, Path}:
        return {"type": ["string", "null"]}
    return _TEXT


def _kinds(annotation: Any) -> set[Any]:
    """The annotation without `None` and its validators."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return {kind for part in get_args(annotation) for kind in _kinds(part)} - {type(None)}
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    return {annotation}
