"""What stands for code left out is told from comments that only sound like it."""

from __future__ import annotations

import pytest

from assistant.elision import elided_line
from assistant.languages import language_of_fence

LEFT_OUT = [
    ("python", "# ... existing code ..."),
    ("python", "    # ..."),
    ("python", "# rest of the code unchanged"),
    ("python", "# Rest of the function remains the same"),
    ("python", "# The rest of your code goes here"),
    ("python", "# (rest of the class)"),
    ("python", "# remaining methods unchanged"),
    ("python", "# other methods remain the same..."),
    ("python", "# existing code here"),
    ("python", "# same as before"),
    ("python", "# unchanged"),
    ("python", "# Previous code here"),
    ("python", "# code omitted for brevity"),
    ("python", "# keep the rest of the file"),
    ("python", "# [existing imports]"),
    ("python", "    pass  # existing code"),
    ("python", "    ...  # unchanged"),
    ("python", "# … the other functions …"),
    ("python", "# No changes here"),
    ("javascript", "// ... existing code ..."),
    ("javascript", "  // ...rest of the component"),
    ("javascript", "/* ... */"),
    ("javascript", "{/* ... existing code ... */}"),
    ("javascript", "function g() { /* ... */ }"),
    ("javascript", "function g() { ... }"),
    ("javascript", "..."),
    ("javascript", "... existing code ..."),
    ("rust", "    // remaining code unchanged"),
    ("sql", "-- rest of the lines unchanged"),
    ("html", "<!-- ... existing code ... -->"),
    ("markdown", "[... rest of the file ...]"),
    ("c", " /* rest of the function is the same */"),
]

MEANT = [
    ("python", "# The rest of the code uses UTC."),
    ("python", "# Remaining budget in dollars"),
    ("python", "# Keep the existing connection alive"),
    ("python", "# existing code must call close() first"),
    ("python", "# Same as the C implementation, but checked"),
    ("python", "# Other methods"),
    ("python", "# and so on..."),
    ("python", "print('...')"),
    ("python", "x = 'rest of the code unchanged'"),
    ("python", "items[..., 0] = 1"),
    ("python", "def f(): ..."),
    ("python", "# wait..."),
    ("python", "# Implementation of the parser"),
    ("python", "# TODO"),
    ("javascript", "const all = [...rest];"),
    ("javascript", "call(...args)"),
    ("javascript", "  ...defaults,"),
    ("rust", "S { a, .. } => 1,"),
    ("c", "int printf(const char *, ...);"),
    ("markdown", "# Existing code"),
    ("markdown", "* existing code"),
    ("markdown", "... and then it ended."),
]


@pytest.mark.parametrize(("fence", "line"), LEFT_OUT)
def test_an_elision_is_found(fence, line):
    language = language_of_fence(fence)
    assert language is not None
    assert elided_line(["a = 1", line, "b = 2"], ["a = 1"], language) == line
    assert elided_line(["a = 1", line, "b = 2"], [line.upper() + "  \n"], language) is None, "the region has it already"


@pytest.mark.parametrize(("fence", "line"), MEANT)
def test_what_is_meant_is_kept(fence, line):
    language = language_of_fence(fence)
    assert language is not None
    assert elided_line(["a = 1", line, "b = 2"], [], language) is None


def test_a_lone_ellipsis_in_python_may_be_a_body():
    python = language_of_fence("python")
    assert python is not None
    stub = ["class P(Protocol):", "    def f(self) -> int:", "        ...", "", "    def g(self) -> int:", "        ..."]
    assert elided_line(stub, [], python) is None
    assert elided_line(stub, ["    def f(self) -> int:", "        return 1"], python) == "        ..."
    assert elided_line(["x = 1", "...", "y = 2"], [], python) == "..."
