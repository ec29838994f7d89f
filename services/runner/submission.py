"""The arguments of the submitting tools: their shape, and what is wrong with others. Pure.

The schemas are what the model sees; the desks then check what was submitted.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_PROBLEMS = 15


LARGEST_LINE = 10**9


def _plain_word(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def encodable(value: object) -> object:
    """Half a surrogate pair, which JSON may carry, cannot be written as UTF-8 later."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(encodable)]
LineNumber = Annotated[int, Field(ge=-LARGEST_LINE, le=LARGEST_LINE)]
"""Any number is read, so that `findings` can say which would do; it must fit the result's JSON."""


class SubmittedFinding(BaseModel):
    """One remark, as the model words it."""

    model_config = ConfigDict(extra="ignore")

    file: Words = Field(description="Path of the changed file, as in the diff.", min_length=1)
    side: Annotated[Literal["new", "old"], BeforeValidator(_plain_word)] = Field(
        description="'new' for added or unchanged lines, 'old' for removed lines."
    )
    line: LineNumber = Field(description="First line, counted in the file of that side.")
    end_line: LineNumber | None = Field(
        default=None, description="Last line of a range, else null."
    )
    severity: Annotated[Literal["error", "warning", "info"], BeforeValidator(_plain_word)]
    comment: Words = Field(description="What is wrong and why, in Markdown.", min_length=1)
    suggestion: Words | None = Field(
        default=None, description="Text that replaces the lines, whole lines, without a fence."
    )
    suggestion_start: LineNumber | None = Field(
        default=None,
        description="First new-side line that the suggestion replaces, in the finding's hunk.",
    )
    suggestion_end: LineNumber | None = Field(
        default=None, description="Last new-side line that the suggestion replaces."
    )


class SubmittedReview(BaseModel):
    """The whole review."""

    model_config = ConfigDict(extra="ignore")

    summary: Words = Field(description="Two to six sentences: what changes, and how good it is.")
    findings: list[SubmittedFinding] = Field(
        default_factory=list, description="Most important first; empty when all is well."
    )


class SubmittedChange(BaseModel):
    """A change to code, as the model words it; or that there is none to make."""

    model_config = ConfigDict(extra="ignore")

    subject: Words = Field(
        default="", description="First line of the commit message, at most 72 characters."
    )
    summary: Words = Field(
        description="Two to six sentences for the person who asked: what changed, how it was "
        "tested; or why there is nothing to do.",
        min_length=1,
    )
    files: list[Words] = Field(
        default_factory=list,
        description="Paths, from the top of the repository, of every file that you changed, made "
        "or removed on purpose. Only these are handed in.",
    )
    nothing_to_do: bool = Field(
        default=False, description="True when no file has to change; then files is empty."
    )


class SubmittedAnswer(BaseModel):
    """An answer to a question, as the model words it."""

    model_config = ConfigDict(extra="ignore")

    answer: Words = Field(
        description="The answer in Markdown; names files and lines, as in `src/a.py:12`.",
        min_length=1,
    )


Form = TypeVar("Form", SubmittedReview, SubmittedChange, SubmittedAnswer)


def schema(form: type[BaseModel] = SubmittedReview) -> dict[str, Any]:
    """The JSON schema of the arguments."""
    return form.model_json_schema()


def read(arguments: object) -> SubmittedReview | list[str]:
    """A review, as `parsed` reads it."""
    return parsed(SubmittedReview, arguments)


def parsed(form: type[Form], arguments: object) -> Form | list[str]:
    """What was submitted, or a line for each problem, worded for the model."""
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
        return form.model_validate(given)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        more = len(lines) - MAX_PROBLEMS
        return lines[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    except ValueError as error:
        return [f"the arguments are not JSON: {error}"]
