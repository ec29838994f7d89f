"""Looks at the model: a tiny question to one's own provider, or the token's owner at GitHub."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from libs.common.errors import cut
from services.ops.doctor.check import Check, broken, ok
from services.ops.doctor.situation import Situation

NAME = "model"
SLOWER = 3
"""A model may take so many times as long as other peers."""
GITHUB_API = "https://api.github.com"
MEND = "check COPILOT_PROVIDER_BASE_URL and whether this machine may reach it"
_QUESTION = "Answer with the one word: ready"
_AZURE_VERSION = "2024-10-21"
_ANTHROPIC_VERSION = "2023-06-01"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider, secrets in its headers: never log it."""

    url: str
    headers: dict[str, str]
    body: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Question(url={self.url!r})"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `body` is JSON, or None when it was something else."""

    status: int
    body: Any = None


async def look(situation: Situation) -> list[Check]:
    settings = situation.settings
    if situation.simulated and situation.running is None:
        return [ok(NAME, "`gca up` brings a simulated one when it runs")]
    if settings.get("COPILOT_PROVIDER_TYPE") or settings.get("COPILOT_PROVIDER_BASE_URL"):
        return [await _provider(situation)]
    if settings.get("GITHUB_TOKEN"):
        return [await _github(situation)]
    mend = "set GITHUB_TOKEN, or COPILOT_PROVIDER_TYPE with its base url and model"
    return [broken(NAME, "neither GITHUB_TOKEN nor COPILOT_PROVIDER_TYPE is set", mend)]


def question(settings: Mapping[str, str]) -> Question:
    """Pure: the smallest request that only a working key and model answer."""
    base = settings.get("COPILOT_PROVIDER_BASE_URL", "").rstrip("/")
    key, model = settings.get("COPILOT_PROVIDER_API_KEY", ""), settings.get("COPILOT_MODEL", "")
    messages = [{"role": "user", "content": _QUESTION}]
    match settings.get("COPILOT_PROVIDER_TYPE") or "openai":
        case "anthropic":
            headers = {"x-api-key": key, "anthropic-version": _ANTHROPIC_VERSION}
            body: dict[str, Any] = {"model": model, "max_tokens": 16, "messages": messages}
            return Question(
                url=f"{base.removesuffix('/v1')}/v1/messages", headers=headers, body=body
            )
        case "azure":
            path = f"/openai/deployments/{model}/chat/completions?api-version={_AZURE_VERSION}"
            body = {"messages": messages}
            return Question(url=base + path, headers={"api-key": key}, body=body)
        case _:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            body = {"model": model, "messages": messages, "stream": False}
            return Question(url=f"{base}/chat/completions", headers=headers, body=body)


def verdict(answer: Answer, model: str, where: str) -> Check:
    """Pure: what a provider's answer means."""
    if answer.status in {401, 403}:
        meaning = f"{where} refuses the key (HTTP {answer.status})"
        return broken(NAME, meaning, "set COPILOT_PROVIDER_API_KEY to a key that is valid")
    if answer.status == 404:
        meaning = f"{where} knows neither this address nor the model {model} (HTTP 404)"
        return broken(NAME, meaning, "check COPILOT_PROVIDER_BASE_URL and COPILOT_MODEL")
    if answer.status == 429:
        meaning = f"{where} has no room for us now (HTTP 429)"
        return broken(NAME, meaning, "wait, or raise the provider's limit or quota")
    if answer.status >= 400:
        meaning = f"{where} answers HTTP {answer.status}: {_said(answer.body)}"
        return broken(NAME, meaning, "check COPILOT_MODEL, or ask the provider")
    if not isinstance(answer.body, dict) or not ({"choices", "content"} & answer.body.keys()):
        meaning = f"{where} answers HTTP {answer.status}, but not as a model does"
        return broken(NAME, meaning, "check COPILOT_PROVIDER_BASE_URL and COPILOT_PROVIDER_TYPE")
    return ok(NAME, f"{model} at {where} answers")


def github_verdict(answer: Answer, where: str) -> Check:
    """Pure: GitHub tells whose token it is, not whether that account has Copilot."""
    if answer.status in {401, 403}:
        meaning = f"{where} refuses GITHUB_TOKEN (HTTP {answer.status})"
        return broken(NAME, meaning, "set GITHUB_TOKEN to a token of an account with Copilot")
    login = answer.body.get("login") if isinstance(answer.body, dict) else None
    if answer.status != 200 or not login:
        meaning = f"{where} answers HTTP {answer.status}, which does not tell whose token it is"
        return broken(NAME, meaning, "try again later, or check what stands between us and GitHub")
    return ok(NAME, f"GITHUB_TOKEN is {login}'s; that it has Copilot shows in a session")


async def _provider(situation: Situation) -> Check:
    asked = question(situation.settings)
    base = situation.value("COPILOT_PROVIDER_BASE_URL")
    where = _host(base)
    if not base:
        return broken(NAME, "COPILOT_PROVIDER_BASE_URL is not set", "set COPILOT_PROVIDER_BASE_URL")
    try:
        answer = await _ask(asked, situation)
    except TimeoutError:
        seconds = situation.seconds * SLOWER
        mend = "check the provider's load; a session would wait as long at each step"
        return broken(NAME, f"{where} did not answer within {seconds:g} s", mend)
    except aiohttp.ClientError as error:
        return broken(NAME, f"{where} is not reachable: {cut(str(error), 120)}", MEND)
    return verdict(answer, situation.value("COPILOT_MODEL"), where)


async def _github(situation: Situation) -> Check:
    base = situation.given.get("GITHUB_API_URL") or GITHUB_API
    headers = {"Authorization": f"Bearer {situation.value('GITHUB_TOKEN')}"}
    mend = "check the network or proxy between this machine and GitHub"
    try:
        answer = await _ask(Question(url=f"{base}/user", headers=headers), situation)
    except TimeoutError:
        return broken(NAME, f"{_host(base)} did not answer in time", mend)
    except aiohttp.ClientError as error:
        return broken(NAME, f"{_host(base)} is not reachable: {cut(str(error), 120)}", mend)
    return github_verdict(answer, _host(base))


async def _ask(asked: Question, situation: Situation) -> Answer:
    bundle = situation.value("CA_BUNDLE")
    trust = ssl.create_default_context(cafile=bundle) if bundle else True
    method = "GET" if asked.body is None else "POST"
    async with (
        asyncio.timeout(situation.seconds * SLOWER),
        aiohttp.ClientSession(trust_env=True) as session,
        session.request(
            method,
            asked.url,
            json=asked.body,
            headers=asked.headers,
            ssl=trust,
            allow_redirects=False,
        ) as answer,
    ):
        body = await answer.content.read(64 * 1024)
    try:
        return Answer(status=answer.status, body=msgspec.json.decode(body))
    except msgspec.DecodeError:
        return Answer(status=answer.status)


def _host(url: str) -> str:
    """The address without a login or a path (SR-37)."""
    return url.partition("://")[2].partition("/")[0].rsplit("@", 1)[-1] or "the provider"


def _said(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return cut(str(message), 120) if message else "no reason given"
