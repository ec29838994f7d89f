"""The demo project: a small shop and a merge request with real defects, as package data.

Read by `gca up`, by the simulated GitLab and by tests. The files carry the suffix `.txt` so
that no linter, type checker or test collector takes them for ours; `NAME.removed` marks a file that
the merge request takes away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class DemoProject:
    """A project as files by path: the target branch, and what the source branch has instead.

    In `head_files`, None says that the file is gone; files that it does not name stay as in
    `base_files`. Both are read from the disk once, at first use.
    """

    path: str
    source_branch: str
    commit_message: str
    title: str
    description: str
    base_commit_message: str = "Import the shop"
    target_branch: str = "main"

    @cached_property
    def base_files(self) -> dict[str, str]:
        return {name: text for name, text in _read(_HERE / "base").items() if text is not None}

    @cached_property
    def head_files(self) -> dict[str, str | None]:
        return _read(_HERE / "head")


def _read(folder: Path) -> dict[str, str | None]:
    files: dict[str, str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix == ".txt":
            files[name] = path.read_text("utf-8")
        elif path.suffix == ".removed":
            files[name] = None
    return files


DEMO = DemoProject(
    path="demo/shop",
    source_branch="vouchers",
    commit_message=(
        "Add vouchers\n\n"
        "A voucher is worth a fixed amount and good for one order. The team hears of each\n"
        "order in its chat, so the mail module is now called notify. Customers with 50 orders\n"
        "get 7.5 %."
    ),
    title="Add vouchers, and tell the team about new orders",
    description=(
        "Marketing wants voucher codes for the spring campaign.\n\n"
        "- `shop/vouchers.py`: create and redeem codes, each good for one order\n"
        "- `Orders.place` takes an optional code\n"
        "- `shop/mail.py` becomes `shop/notify.py`, since it also writes to the chat of the team\n"
        "- customers with 50 orders or more save 7.5 %\n\n"
        "Tested with `python -m unittest discover tests`."
    ),
)
