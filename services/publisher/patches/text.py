"""A strict reading of a patch: what its headers claim, before git acts on them.

Called by `policy`. Only what `git diff --binary --src-prefix=a/ --dst-prefix=b/` writes is read at
all; hunks are counted through, so that a line of a file is never taken for a header.
"""

from __future__ import annotations

import base64
import re
import zlib

import msgspec

from libs.common.diff.paths import command_paths, unquote

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_BINARY = re.compile(rb"(literal|delta) (\d{1,15})")
_INDEX = re.compile(rb"index [0-9a-f]{4,64}\.\.[0-9a-f]{4,64}(?: ([0-7]{6}))?")
_PERCENT = re.compile(rb"(?:dis)?similarity index \d{1,3}%")
_MODE = re.compile(rb"(old mode|new mode|new file mode|deleted file mode) ([0-7]{6})")
_MOVE = re.compile(rb"(rename|copy) (from|to) (.+)")
_DEV_NULL = b"/dev/null"
_DISAGREE = "the headers of a file disagree about its name"


class UnreadablePatch(ValueError):
    """Not a patch as git writes it, or one that contradicts itself; the text is for people."""


class PatchText(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers say."""

    paths: tuple[str, ...]
    """Every file that is named, on either side; surrogate escapes where it is not UTF-8."""
    new_modes: tuple[tuple[str, str], ...]
    """File and mode, where a header gives one."""
    unpacked: int
    """Bytes that the binary parts become when git unpacks them, by their own account."""


class _Section:
    """The headers of one file."""

    def __init__(self, command: bytes) -> None:
        self.command = command
        self.old: bytes | None = None
        self.new: bytes | None = None
        self.moved: dict[bytes, bytes] = {}
        self.modes: list[str] = []
        self.unpacked = 0

    def paths(self) -> tuple[str, ...]:
        """Both names; the three places that name them must agree."""
        if self.moved:
            if set(self.moved) != {b"from", b"to"}:
                raise UnreadablePatch("a rename or copy names only one file")
            old, new = _prefixed(b"a/", self.moved[b"from"]), _prefixed(b"b/", self.moved[b"to"])
        elif self.old is None and self.new is None:
            return (self._only_name(),)
        else:
            old, new = self._plain_names()
        prefixed = old.startswith((b"a/", b'"a/')) and new.startswith((b"b/", b'"b/'))
        if not prefixed or self.command != old + b" " + new or not self._agrees(old, new):
            raise UnreadablePatch(_DISAGREE)
        return tuple(dict.fromkeys((unquote(_text(old))[2:], unquote(_text(new))[2:])))

    def _only_name(self) -> str:
        """Of a file without a line that changes: empty, binary, or another mode."""
        left, right = command_paths(_text(self.command))
        prefixes = (b"a/" + _bytes(left) + b" b/" + _bytes(left), b'"a/')
        if left != right or not self.command.startswith(prefixes):
            raise UnreadablePatch(_DISAGREE)
        return left

    def _plain_names(self) -> tuple[bytes, bytes]:
        old, new = self.old or _DEV_NULL, self.new or _DEV_NULL
        if old == new == _DEV_NULL:
            raise UnreadablePatch("a part of it names no file")
        old = _other_side(new, b"a/") if old == _DEV_NULL else old
        new = _other_side(old, b"b/") if new == _DEV_NULL else new
        if old != _other_side(new, b"a/"):
            raise UnreadablePatch(_DISAGREE)
        return old, new

    def _agrees(self, old: bytes, new: bytes) -> bool:
        return self.old in (None, _DEV_NULL, old) and self.new in (None, _DEV_NULL, new)


def read_patch(patch: bytes) -> PatchText:
    """What the patch claims; raises `UnreadablePatch`."""
    lines = patch.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    sections: list[_Section] = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith(b"diff --git "):
            raise UnreadablePatch(f"line {at + 1} is none that `git diff` writes")
        sections.append(_Section(lines[at].removeprefix(b"diff --git ")))
        at = _read_section(lines, at + 1, sections[-1])
    named = [(section.paths(), section) for section in sections]
    return PatchText(
        paths=tuple(dict.fromkeys(path for paths, _ in named for path in paths)),
        new_modes=tuple((paths[-1], mode) for paths, section in named for mode in section.modes),
        unpacked=sum(section.unpacked for section in sections),
    )


def _read_section(lines: list[bytes], at: int, section: _Section) -> int:
    while at < len(lines) and not lines[at].startswith(b"diff --git "):
        line = lines[at]
        if line.startswith(b"@@ "):
            at = _skip_hunk(lines, at)
        elif line == b"GIT binary patch":
            at = _read_binary(lines, at + 1, section)
        else:
            _read_header(line, section, at + 1)
            at += 1
    return at


def _read_header(line: bytes, section: _Section, number: int) -> None:
    if line.startswith(b"--- ") and section.old is None:
        section.old = _name(line[4:])
    elif line.startswith(b"+++ ") and section.new is None:
        section.new = _name(line[4:])
    elif mode := _MODE.fullmatch(line):
        if mode[1] in (b"new mode", b"new file mode"):
            section.modes.append(mode[2].decode())
    elif move := _MOVE.fullmatch(line):
        if move[2] in section.moved:
            raise UnreadablePatch("a file is renamed twice")
        section.moved[move[2]] = move[3]
    elif not (_INDEX.fullmatch(line) or _PERCENT.fullmatch(line)):
        raise UnreadablePatch(f"line {number} is none that `git diff` writes")


def _skip_hunk(lines: list[bytes], at: int) -> int:
    found = _HUNK.match(lines[at])
    if not found:
        raise UnreadablePatch(f"line {at + 1} does not begin a hunk")
    old, new = (1 if count is None else int(count) for count in found.groups())
    at += 1
    while old > 0 or new > 0:
        if at >= len(lines):
            raise UnreadablePatch("it ends in the middle of a hunk")
        kind = lines[at][:1]
        old -= kind in (b" ", b"-")
        new -= kind in (b" ", b"+")
        if kind not in (b" ", b"-", b"+", b"\\") or old < 0 or new < 0:
            raise UnreadablePatch(f"line {at + 1} does not fit its hunk")
        at += 1
    while at < len(lines) and lines[at].startswith(b"\\"):
        at += 1
    return at


def _read_binary(lines: list[bytes], at: int, section: _Section) -> int:
    """Forward and reverse data, each a line with its size, lines of base 85, and an empty line."""
    found = _binary_head(lines, at)
    if found is None:
        raise UnreadablePatch("a binary part does not say how large it is")
    while found is not None:
        first = lines[at + 1] if at + 1 < len(lines) else b""
        section.unpacked += max(int(found[2]), _delta_result(found[1], first))
        at += 1
        while at < len(lines) and lines[at]:
            at += 1
        at += 1
        found = _binary_head(lines, at)
    return at


def _binary_head(lines: list[bytes], at: int) -> re.Match[bytes] | None:
    return _BINARY.fullmatch(lines[at]) if at < len(lines) else None


def _delta_result(kind: bytes, line: bytes) -> int:
    """How large the file is that a delta makes: a small one can copy a small file endlessly.

    The unpacked delta begins with the sizes of its source and its result, seven bits a byte
    (gitformat-pack, "Deltified representation").
    """
    if kind != b"delta":
        return 0
    try:
        head = zlib.decompressobj().decompress(base64.b85decode(line[1:]), 24)
    except (ValueError, zlib.error):
        raise UnreadablePatch("a binary part cannot be unpacked") from None
    at = next((at + 1 for at, byte in enumerate(head) if byte < 0x80), len(head))
    size = 0
    for shift, byte in enumerate(head[at:]):
        size |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return size
    raise UnreadablePatch("a binary part cannot be unpacked")


def _name(rest: bytes) -> bytes:
    """As git wrote it, still quoted; a name with a space ends with a tab."""
    return rest.removesuffix(b"\t")


def _other_side(name: bytes, prefix: bytes) -> bytes:
    return b'"' + prefix + name[3:] if name.startswith(b'"') else prefix + name[2:]


def _prefixed(prefix: bytes, name: bytes) -> bytes:
    return b'"' + prefix + name[1:] if name.startswith(b'"') else prefix + name


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
