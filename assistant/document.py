"""A file as it was read, and the only way back to the disk: whole, in its own encoding, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from assistant.decoding import decode
from assistant.errors import AssistantError, EditConflict, InputError, NoEdit, StorageError, UsageError
from assistant.languages import PLAIN, Language, language_of

MAX_BYTES = 8 * 1024 * 1024
"""Larger files are refused: no model here could be shown one, and the line diff would no longer be quick."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what is needed to write it back.

    path: where it was read, None for text that has no file.
    text: exactly as decoded, with its own line ends and without a byte order mark.
    encoding, bom: how `text` becomes bytes again.
    raw: the bytes that were read, mark included.
    """

    path: Path | None
    text: str
    encoding: str = "utf-8"
    bom: bytes = b""
    raw: bytes = b""
    language: Language = PLAIN


def load(path: Path | str) -> Document:
    """Read the file at `path`.

    Its encoding is told by a byte order mark (UTF-8, -16, -32), else by a coding comment (Python, Ruby), else it is UTF-8.

    Raises:
        InputError: it is missing, not a regular file, empty, larger than `MAX_BYTES`, binary, or not in its encoding.
        StorageError: it may not be read.
    """
    path = Path(path)
    raw = _read(path)
    if not raw:
        raise InputError(f"{path} is empty.", "Choose a file with something in it.")
    language = language_of(path)
    decoded = decode(raw, str(path), cookies=language.name in ("Python", "Ruby"))
    return Document(path, decoded.text, decoded.encoding, decoded.bom, raw, language)


def encode(document: Document, text: str) -> bytes:
    """`text` as the bytes of `document`'s file.

    Raises:
        NoEdit: it holds a character that the file's encoding has no bytes for.
    """
    try:
        return document.bom + text.encode(document.encoding)
    except UnicodeEncodeError as error:
        raise NoEdit(
            f"The edit holds {text[error.start]!r}, which {document.encoding} cannot encode.",
            "Save the file as UTF-8, or ask for an answer without that character.",
        ) from error


def write(document: Document, text: str) -> None:
    """Put `text` in place of the file's content: all of it or, whatever fails, nothing.

    A temporary file beside it is written, synced and renamed over it.  Symbolic links are followed to the real file.  Mode,
    extended attributes and (where permitted) owner are kept.  Other hard links of the file keep the text that was there:
    a rename cannot reach them, and writing in place could leave half a file.

    Raises:
        EditConflict: the bytes on disk are no longer `document.raw`.
        NoEdit: the file's encoding cannot hold `text`.
        StorageError: the disk is full, or the file or its folder is read-only.
        UsageError: the document has no file.
    """
    if document.path is None:
        raise UsageError("This text has no file to write to.", "Save it to a file first.")
    data = encode(document, text)
    try:
        target = document.path.resolve(strict=True)
        _refuse_read_only(target)
        _replace(target, data, document)
    except FileNotFoundError as error:
        raise _changed(document.path, "is gone", text) from error
    except OSError as error:
        raise _storage_error(document.path, error) from error


def create(path: Path, content: str | bytes) -> None:
    """Write bytes, or text in UTF-8, to a new file at `path`: whole or not at all, and never over anything.

    Raises:
        EditConflict: something lies there; the error keeps a text.
        StorageError: the disk is full, or the folder is missing or not writable.
    """
    temporary = path.with_name(f".starchat-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
        _put(temporary, path)
    except FileExistsError as error:
        kept = content if isinstance(content, str) else ""
        raise EditConflict(f"{path} is there already; nothing was written.", "Choose another name with -o.", kept) from error
    except OSError as error:
        raise _storage_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Give the file its name; a link fails where the name is taken, which a rename would not."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first, then filled
        path.touch(exist_ok=False)
        temporary.replace(path)


def check_writable(document: Document) -> None:
    """Refuse early what `write` would refuse at the end, before a model is asked for an edit.

    Raises:
        StorageError: the file is read-only.
    """
    if document.path is not None and document.path.exists():
        _refuse_read_only(document.path)


def check_creatable(path: Path) -> None:
    """Refuse early what `create` would refuse at the end, before a model is asked for the content.

    Raises:
        InputError: something lies there, or there is no such folder.
        StorageError: the folder is not writable.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} is there already.", "Choose another name with -o; no file is ever written over.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}.", "Make it first, or choose another name with -o.")
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"The folder {path.parent} is not writable.", "Change its permissions, or choose another with -o.")


def _replace(target: Path, data: bytes, document: Document) -> None:
    """Write `data` beside `target`, compare what stands there with what was read, and rename."""
    handle, name = tempfile.mkstemp(prefix=".starchat-", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _copy_owner_and_mode(target, temporary)
        if target.read_bytes() != document.raw:
            raise _changed(target, "was changed by another program", data.decode(document.encoding))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_owner_and_mode(source: Path, target: Path) -> None:
    status = source.stat()
    if hasattr(os, "chown"):
        with suppress(OSError):  # only a privileged user may give files away
            os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)
    os.utime(target)  # the content is new, and tools that look at times must see it


def _refuse_read_only(path: Path) -> None:
    # A rename would replace a read-only file without a word, and a privileged user may write to any.
    if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise StorageError(f"{path} is read-only.", "Make it writable and try again.")


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a folder.", "Name a file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a regular file.", "Copy its content to a file first.")
        if status.st_size > MAX_BYTES:
            raise InputError(
                f"{path} has {status.st_size:,} bytes; at most {MAX_BYTES:,} are read.", "Split it or choose a part of it."
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.") from error
    except NotADirectoryError as error:
        raise InputError(f"{path} does not exist: a part of it is not a folder.", "Check the name.") from error
    except PermissionError as error:
        raise StorageError(f"{path} may not be read.", "Check its permissions.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}.", "Check the name.") from error


def _changed(path: Path, how: str, text: str) -> EditConflict:
    return EditConflict(
        f"{path} {how} since it was read; nothing was written.", "Ask again, so that the answer fits the new text.", text
    )


def _storage_error(path: Path, error: OSError) -> AssistantError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(f"There is no room to write {path}; it was left as it was.", "Free some disk space and try again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"The folder of {path} is not writable.", "Change its permissions and try again.")
    return StorageError(f"{path} cannot be written: {error.strerror}.", "It was left as it was; try again.")
