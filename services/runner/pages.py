"""Long texts in pages that the CLI passes on to the model whole. Pure; called by `tools`.

The CLI writes answers over 20,480 bytes to a file that a session may not read.
"""

from __future__ import annotations

PAGE_BYTES = 18_000
LONGEST_LINE = 2_000


def pages(text: str) -> list[str]:
    """`text` cut between lines; a line that is too long is cut and says so."""
    found: list[str] = []
    page: list[str] = []
    size = 0
    for line in text.split("\n"):
        kept = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [… line cut]"
        cost = len(kept.encode(errors="replace")) + 1
        if page and size + cost > PAGE_BYTES:
            found.append("\n".join(page))
            page, size = [], 0
        page.append(kept)
        size += cost
    return [*found, "\n".join(page)]


def page(text: str, number: int, *, again: str) -> str:
    """Page `number`, from 1; its last line says how to get the next, as `(more: call <again>…)`."""
    all_pages = pages(text)
    if not 1 <= number <= len(all_pages):
        return f"There is no page {number}; pages are 1 to {len(all_pages)}."
    body = all_pages[number - 1]
    if number == len(all_pages):
        return body
    return f"{body}\n(more: call {again}page={number + 1}, of {len(all_pages)})"
