"""Diffs for the runner's unit tests, as git writes them."""

from __future__ import annotations

from libs.common.diff import Diff, parse_diff

TWO_HUNKS = """\
diff --git a/shop/cart.py b/shop/cart.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -1,3 +1,4 @@
 one
+two
 three
 four
@@ -20,3 +21,3 @@ def add():
 twenty
-old
+new
 end
diff --git a/gone.py b/gone.py
deleted file mode 100644
index 1111111111111111111111111111111111111111..0000000000000000000000000000000000000000
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-first
-second
"""


def added(path: str, *lines: str) -> str:
    body = "\n".join(f"+{line}" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n"
        f"index {'0' * 40}..{'1' * 40}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}\n"
    )


def two_hunks() -> Diff:
    return parse_diff(TWO_HUNKS)
