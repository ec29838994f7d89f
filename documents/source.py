"""What the source says about a type: docstrings of classes and of their fields, by `ast`.

Called by `events`. Python keeps no docstring of a field at run time.
"""

from __future__ import annotations

import ast
import functools
import inspect
from pathlib import Path


def meaning(kind: type) -> str:
    """The class's own docstring, as one text with its paragraphs."""
    return inspect.cleandoc(kind.__doc__ or "")


def field_meanings(kind: type) -> dict[str, str]:
    """The text below each field, in the class itself and in those it is made from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if one.__module__.startswith(("libs.", "services.")):
            found |= _fields(inspect.getfile(one)).get(one.__name__, {})
    return found


def makers(name: str, root: Path) -> set[str]:
    """The folders of the product in which an object of this class is made."""
    folders = [*(root / "services").iterdir(), *(root / "libs" / "common").iterdir()]
    return {
        str(folder.relative_to(root))
        for folder in folders
        for file in folder.rglob("*.py")
        if name in _calls(file)
    }


@functools.cache
def _fields(file: str) -> dict[str, dict[str, str]]:
    module = ast.parse(Path(file).read_text(encoding="utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    return {one.name: _of_class(one) for one in classes}


def _of_class(one: ast.ClassDef) -> dict[str, str]:
    found = {}
    for node, following in zip(one.body, one.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[node.target.id] = inspect.cleandoc(text)
    return found


@functools.cache
def _calls(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return frozenset(func.id for func in called if isinstance(func, ast.Name))
