"""Settings of Jobs on Kubernetes; `libs.common.launching.settings` builds on them.

All of them are checked also where `TASK_EXECUTOR` is local, so that a typing error shows at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, InstanceOf, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from libs.common.launching.budget_settings import BudgetSettings
from libs.common.launching.kubernetes import given
from libs.common.launching.kubernetes.connecting import own_namespace
from libs.common.launching.kubernetes.pod import (
    HostAlias,
    SecretKey,
    Toleration,
    is_size,
    millicores,
)
from libs.common.settings import CommaList

_T = TypeVar("_T")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[^\s]{1,512}")


def _json(read: Callable[[str], _T]) -> Callable[[object], object]:
    """A validator that says in `read`'s own words what is wrong."""

    def checked(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return read(value)
        except given.WrongSetting as error:
            raise PydanticCustomError("json", "{why}", {"why": str(error)}) from None

    return checked


class KubernetesSettings(BudgetSettings):
    """Where Jobs run and, on Kubernetes, what their pods are made of."""

    task_executor: Literal["local", "kubernetes"] = Field(
        default="local",
        description="Where Jobs run: child processes of this machine, or Jobs of a cluster.",
    )
    k8s_namespace: str = Field(
        default="",
        description="Namespace of the Jobs; empty: that of the service's own pod.",
        validate_default=True,
    )
    k8s_job_image: str = Field(
        default="", description="Image of the runner.", validate_default=True
    )
    k8s_job_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When a node pulls it."
    )
    k8s_job_image_pull_secrets: CommaList = Field(
        default=(), description="Secrets to pull it with, names by comma."
    )
    k8s_job_cpu_limit: str = Field(
        default="1", description="Processor time of a Job, such as `500m` or `2`."
    )
    k8s_job_memory_limit: str = Field(
        default="1Gi", description="Memory of a Job, such as `512Mi` or `2Gi`."
    )
    k8s_job_storage_limit: str = Field(
        default="2Gi", description="Disk of a Job: clone, caches and logs together."
    )
    k8s_job_timeout: int | None = Field(
        default=None,
        ge=30,
        le=86_400,
        description="Seconds a Job may take on Kubernetes; not set: TASK_TIMEOUT.",
    )
    k8s_job_start_timeout: int = Field(
        default=180,
        ge=10,
        le=3600,
        description="Seconds a Job may wait for its image, its Secrets or a node.",
    )
    k8s_job_ttl: int = Field(
        default=600,
        ge=60,
        le=86_400,
        description="Seconds after which Kubernetes removes a Job that ended.",
    )
    k8s_job_secrets: Annotated[
        Mapping[str, InstanceOf[SecretKey]], NoDecode, BeforeValidator(_json(given.secrets))
    ] = Field(
        default={},
        description="Where Jobs find GITLAB_READ_TOKEN, and GITHUB_TOKEN or "
        f"COPILOT_PROVIDER_API_KEY: keys of Secrets, as JSON: `{given.SECRETS}`.",
        validate_default=True,
    )
    k8s_job_ca_configmap: str = Field(
        default="", description="ConfigMap with `ca.crt`, the Jobs' CA_BUNDLE."
    )
    k8s_job_host_aliases: Annotated[
        tuple[InstanceOf[HostAlias], ...], NoDecode, BeforeValidator(_json(given.host_aliases))
    ] = Field(default=(), description=f"Hosts that Jobs know, as JSON: `{given.HOST_ALIASES}`.")
    k8s_job_node_selector: Annotated[
        Mapping[str, str], NoDecode, BeforeValidator(_json(given.node_selector))
    ] = Field(default={}, description=f"Labels of their nodes, as JSON: `{given.NODE_SELECTOR}`.")
    k8s_job_tolerations: Annotated[
        tuple[InstanceOf[Toleration], ...], NoDecode, BeforeValidator(_json(given.tolerations))
    ] = Field(default=(), description=f"Taints they accept, as JSON: `{given.TOLERATIONS}`.")
    k8s_job_extra_env: Annotated[
        Mapping[str, str], NoDecode, BeforeValidator(_json(given.extra_env))
    ] = Field(
        default={},
        description="More variables for both steps, as JSON; proxies reach only the step run: "
        f"`{given.EXTRA_ENV}`.",
    )

    @field_validator("k8s_namespace")
    @classmethod
    def _is_namespace(cls, value: str, found: ValidationInfo) -> str:
        if value and not _NAMESPACE.fullmatch(value):
            raise PydanticCustomError("namespace", "must be the name of a namespace")
        if not value and _on_kubernetes(found):
            value = own_namespace()
            if not value:
                raise PydanticCustomError("namespace", "is not set, and this is no pod")
        return value

    @field_validator("k8s_job_image")
    @classmethod
    def _is_image(cls, value: str, found: ValidationInfo) -> str:
        if value and not _IMAGE.fullmatch(value):
            raise PydanticCustomError("image", "must be the name of an image, without spaces")
        if not value and _on_kubernetes(found):
            raise PydanticCustomError("image", "is needed with TASK_EXECUTOR=kubernetes")
        return value

    @field_validator("k8s_job_cpu_limit")
    @classmethod
    def _is_cpu(cls, value: str) -> str:
        try:
            good = millicores(value) > 0
        except ValueError:
            good = False
        if not good:
            raise PydanticCustomError("cpu", "must be processor time such as 500m or 2")
        return value

    @field_validator("k8s_job_memory_limit", "k8s_job_storage_limit")
    @classmethod
    def _is_size(cls, value: str) -> str:
        if not is_size(value):
            raise PydanticCustomError("size", "must be an amount with a unit, such as 512Mi or 2Gi")
        return value

    @field_validator("k8s_job_image_pull_secrets")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(given.is_name(name) for name in value):
            raise PydanticCustomError("name", "must be names of Secrets")
        return value

    @field_validator("k8s_job_ca_configmap")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if value and not given.is_name(value):
            raise PydanticCustomError("name", "must be the name of a ConfigMap")
        return value

    @field_validator("k8s_job_secrets")
    @classmethod
    def _has_git_token(cls, value: Mapping[str, SecretKey], found: ValidationInfo) -> Any:
        if _on_kubernetes(found) and "GITLAB_READ_TOKEN" not in value:
            raise PydanticCustomError(
                "secrets",
                "has no GITLAB_READ_TOKEN; on Kubernetes the step clone gets it from a Secret: "
                "{example}",
                {"example": given.SECRETS},
            )
        return value

    @property
    def on_kubernetes(self) -> bool:
        return self.task_executor == "kubernetes"


def _on_kubernetes(found: ValidationInfo) -> bool:
    return found.data.get("task_executor") == "kubernetes"
