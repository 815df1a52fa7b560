"""What a library said, fit to stand inside a sentence of ours."""

from __future__ import annotations


def brief(error: BaseException) -> str:
    """The first line of an error, at most 160 characters and without its final period; its kind where it says nothing."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line.rstrip(".") if len(line) <= 160 else f"{line[:159]}…"
