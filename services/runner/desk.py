"""Where a review is handed in: counts refusals and remembers the best there is.

`tools` calls it for each `submit_review`; `review` asks it at the end.
"""

from __future__ import annotations

import msgspec

from libs.common.diff import Diff
from libs.common.events.tasks import Finding
from services.runner import submission
from services.runner.findings import LONGEST_SUMMARY, Checked, check, insisted

REFUSALS = 2
"""Submissions refused for lines outside the diff; the next one is taken as it is."""
HOPELESS = 8
"""Submissions refused, for whatever reason, after which no better one is to be expected."""
MAX_MESSAGE = 12_000


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A review as it goes into the result."""

    summary: str
    findings: tuple[Finding, ...]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is told."""

    accepted: bool
    text: str


class Desk:
    """One session's desk; `accepted` is set once, `best` also after refusals only."""

    def __init__(self, diff: Diff, *, most: int) -> None:
        self._diff = diff
        self._most = most
        self._refusals = 0
        self._tries = 0
        self._last: Checked | None = None
        self.accepted: Review | None = None

    def submit(self, arguments: object) -> Answer:
        """Take the review, or refuse it with words that help to mend it."""
        if self.accepted is not None:
            return Answer(accepted=True, text="The review was submitted already.")
        self._tries += 1
        read = submission.read(arguments)
        if isinstance(read, list):
            return Answer(accepted=False, text=_message("The arguments do not fit.", read))
        checked = check(read, self._diff, most=self._most)
        self._last = checked
        problems = list(checked.reasons)
        if checked.over:
            problems.append(
                f"{checked.over} findings too many: at most {self._most}; keep the important ones"
            )
        if problems and self._refusals < REFUSALS:
            self._refusals += 1
            return Answer(accepted=False, text=_message("Nothing was recorded yet.", problems))
        self.accepted = self._settled(checked)
        return Answer(accepted=True, text=f"Recorded {len(self.accepted.findings)} findings.")

    @property
    def hopeless(self) -> bool:
        return self.accepted is None and self._tries >= HOPELESS

    @property
    def best(self) -> Review | None:
        """The accepted review, else the last one that was refused, so that no work is lost."""
        if self.accepted is not None or self._last is None:
            return self.accepted
        return self._settled(self._last)

    def _settled(self, checked: Checked) -> Review:
        """Findings outside the diff's lines stay with their file; the others go into words."""
        whole = [(finding, insisted(finding, self._diff)) for finding in checked.refused]
        lost = [
            f"- {finding.file}, line {finding.line}: {finding.comment}"
            for finding, kept in whole
            if kept is None
        ]
        summary = checked.summary
        if lost:
            summary += "\n\nAbout files outside of this diff:\n" + "\n".join(lost)
        kept = tuple(finding for _, finding in whole if finding is not None)
        return Review(summary=summary[:LONGEST_SUMMARY], findings=checked.placed + kept)


def _message(opening: str, problems: list[str]) -> str:
    lines = "\n".join(f"- {problem}" for problem in problems)
    text = f"{opening}\n{lines}"[:MAX_MESSAGE]
    return f"{text}\nMend this and call submit_review again with the whole review."
