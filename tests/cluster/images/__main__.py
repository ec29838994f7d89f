"""`python -m tests.cluster.images [name …]`: build what changed, print the archives' places."""

from __future__ import annotations

import sys

from services.ops.images import CannotBuild
from tests.cluster.images.building import ALL, ready


def main(names: list[str]) -> int:
    if strangers := [name for name in names if name not in ALL]:
        sys.stderr.write(f"no such image: {', '.join(strangers)}; there are {', '.join(ALL)}\n")
        return 2
    try:
        found = ready(names or ALL)
    except CannotBuild as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
