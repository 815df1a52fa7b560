"""Bytes of a source file to text and back, without losing one of them."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from assistant.errors import InputError

_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_BLANK_OR_COMMENT = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_BYTE_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text without its byte order mark, the codec's name, and the mark's bytes."""

    text: str
    encoding: str
    bom: bytes


def decode(raw: bytes, name: str, cookies: bool = False) -> Decoded:
    """Decode the file called `name`: by its byte order mark, else by its coding cookie, else as UTF-8.

    `cookies` says whether a coding cookie (PEP 263) counts, as it does in Python and Ruby.

    Raises:
        InputError: the bytes are binary, not in the encoding found, or would not be the same after decoding and encoding.
    """
    bom, encoding = next(((mark, codec) for mark, codec in _BOMS if raw.startswith(mark)), (b"", ""))
    encoding = encoding or (cookies and _cookie(raw)) or "utf-8"
    text = _text(raw[len(bom) :], encoding, name)
    if "\0" in text:
        raise InputError(
            f"{name} holds NUL bytes and looks binary.",
            "Choose a text file, or save it as UTF-8 if it is UTF-16 without its mark.",
        )
    if bom + text.encode(encoding) != raw:
        raise InputError(f"{name} does not survive decoding and encoding as {encoding}.", "Save it as UTF-8 and try again.")
    return Decoded(text, encoding, bom)


def _text(raw: bytes, encoding: str, name: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        what = "UTF-8" if encoding == "utf-8" else f"valid {encoding}, which it declares"
        raise InputError(
            f"{name} is not {what} (byte {error.start}).",
            "Save it as UTF-8, or declare its encoding in a coding comment (Python).",
        ) from error
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{name} declares the encoding {encoding!r}, which cannot be used.",
            "Correct the coding comment or save the file as UTF-8.",
        ) from error


def _cookie(raw: bytes) -> str:
    """The codec that a coding comment in the first two lines names (PEP 263); the first must be blank or a comment."""
    for line in _BYTE_LINE_END.split(raw[:4096], maxsplit=2)[:2]:
        found = _COOKIE.match(line)
        if found:
            return found.group(1).decode("ascii")
        if not _BLANK_OR_COMMENT.match(line):
            break
    return ""
