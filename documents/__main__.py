"""`python -m documents [--check]`: write the generated documents, or say which ones differ.

Started by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from documents import pages

ROOT = Path(__file__).parents[1]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """0 when all is written or nothing differs, 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m documents")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if one differs")
    check: bool = parser.parse_args(arguments).check
    made = pages.made()
    stale = pages.stale(root, made)
    if check:
        sys.stderr.writelines(f"{path} differs from the code; run `make docs`\n" for path in stale)
        return 1 if stale else 0
    pages.write(root, made)
    sys.stdout.writelines(f"{path} written\n" for path in stale)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
