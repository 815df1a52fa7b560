"""Runs examples against a Python file, inside the cage: `python -m assistant.cage.examples FILE EXAMPLES.json SECONDS`.

Results are compared as values where the expected text is one, so that spaces, quotes and the order of a set do not matter, and
decimals to nine digits.  An example that names what does not exist can hold for no solution and is passed over.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import re
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

NONE_USABLE = 77
"""Exit status where no example can hold for any solution."""

_Result = tuple[bool, str]


def main() -> None:
    """Print each example that fails, and how many hold; ends with status 0 if all do, 1 if not."""
    file, examples, seconds = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), float(sys.argv[3])
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, 4 * seconds)
    names = _names_of(file)
    held = failed = 0
    for source, wanted in examples:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        usable, holds, got = _tried(source, wanted, names)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not usable or not wanted:
            continue
        held, failed = held + holds, failed + (not holds)
        if not holds:
            print(f"Example: {source}\nExpected: {wanted}\nGot: {got}\n", flush=True)
    print(f"{held} of {held + failed} examples hold.")
    sys.exit(NONE_USABLE if not held + failed else 1 if failed else 0)


def _names_of(file: Path) -> dict[str, Any]:
    """The file's names, imported as part of its package where it lies in one."""
    top = file.resolve().parent
    parts = [file.stem]
    while (top / "__init__.py").exists():
        parts.insert(0, top.name)
        top = top.parent
    sys.path[:0] = [str(top), str(Path.cwd())]
    name = ".".join(parts)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    if len(parts) > 1:
        importlib.import_module(".".join(parts[:-1]))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return vars(module)


def _tried(source: str, wanted: str, names: dict[str, Any]) -> tuple[bool, bool, str]:
    """Whether an example can be used, whether it holds, and what it gave."""
    try:
        value = _value(source, names)
    except _TooLongError:
        return True, False, "it was still running after some seconds"
    except NameError as error:
        if _of_the_example(error):
            return False, False, ""
        return (True, *_raised(error, wanted))
    except Exception as error:
        return (True, *_raised(error, wanted))
    return True, _equal(value, wanted), repr(value)[:300]


def _value(source: str, names: dict[str, Any]) -> object:
    """The value of the source's last expression, None where it ends in a statement."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<example>", "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), "<example>", "eval"), names)


def _equal(value: object, wanted: str) -> bool:
    if repr(value) == wanted or str(value) == wanted:
        return True
    try:
        expected = ast.literal_eval(wanted)
        return bool(value == expected) or _near(value, expected)
    except Exception:
        return re.sub(r"\s", "", repr(value)) == re.sub(r"\s", "", wanted)


def _near(value: object, expected: object) -> bool:
    numbers = isinstance(value, float) and isinstance(expected, (int, float))
    return numbers and math.isclose(value, expected, rel_tol=1e-9)  # type: ignore[arg-type]  # both are numbers here


def _raised(error: Exception, wanted: str) -> _Result:
    said = traceback.format_exception_only(error)[-1].strip()
    expected = wanted.startswith("Traceback") and type(error).__name__ in wanted
    last = traceback.extract_tb(error.__traceback__)[-1]
    return expected, f"{said} (line {last.lineno}: {last.line})"[:300]


def _of_the_example(error: BaseException) -> bool:
    """Whether the example itself, and no code that it called, names what does not exist."""
    return traceback.extract_tb(error.__traceback__)[-1].filename == "<example>"


class _TooLongError(BaseException):
    """An example takes too long; no `except Exception` of the code under test stops it."""


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise _TooLongError


if __name__ == "__main__":
    main()
