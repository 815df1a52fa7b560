"""Rows from where they lie: JSONL files, folders of them, hub data sets, or dialogues that this module makes."""

from __future__ import annotations

import gzip
import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from assistant.errors import DownloadError, InputError
from training import made
from training.reasons import brief

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read.  line: from 1; value: its object, or None where `problem` says why there is none."""

    source: str
    line: int
    value: dict[str, Any] | None
    problem: str = ""


def rows(source: str, split: Split) -> Iterator[Row]:
    """The rows of a source's split; a single file has no test split, and yields nothing for it.

    Raises:
        InputError: there is no such file, or it is damaged.
        DownloadError: the hub cannot be reached or has no such data set.
    """
    if source == "dialogues":
        yield from _dialogues(split)
    elif source == "made":  # beside others, whose test split is what counts
        yield from _made(split) if split == "train" else ()
    elif Path(source).is_dir():
        if not _files(Path(source), "train"):
            raise InputError(
                f"The folder {source} holds no train*.jsonl or train*.jsonl.gz.", "Name a .jsonl file, or such a folder."
            )
        for path in _files(Path(source), split):
            yield from _read(path)
    elif source.endswith((".jsonl", ".jsonl.gz", ".json.gz")) or Path(source).is_file():
        yield from _read(Path(source)) if split == "train" else ()
    else:
        yield from _hub(source, split)


def origin(source: str) -> str:
    """What the rows of `source` are, without any path, for pages that may be passed on."""
    if source == "made" or (source == "dialogues" and _dialogue_folder() is None):
        return "dialogues made by the recipe itself"
    where = place(source)
    return Path(where).resolve().name if Path(where).exists() else where


def place(source: str) -> str:
    """Where the rows of `source` lie, for the user of this machine."""
    if source != "dialogues":
        return source
    folder = _dialogue_folder()
    return str(folder) if folder else "made dialogues (set STARCHAT_DATA to a folder with real ones)"


def _dialogues(split: Split) -> Iterator[Row]:
    folder = _dialogue_folder()
    if folder:
        for path in _files(folder, split):
            yield from _read(path)
        return
    yield from _made(split)


def _made(split: Split) -> Iterator[Row]:
    for line, value in enumerate(made.dialogues(split), start=1):
        yield Row("made", line, value)


def _dialogue_folder() -> Path | None:
    """`STARCHAT_DATA`, or its folder `dialogues`.

    Raises:
        InputError: the variable is set, but there are no dialogues.
    """
    chosen = os.environ.get("STARCHAT_DATA")
    if not chosen:
        return None
    for folder in (Path(chosen) / "dialogues", Path(chosen)):
        if folder.is_dir() and _files(folder, "train"):
            return folder
    raise InputError(f"STARCHAT_DATA={chosen} holds no train.jsonl or train.jsonl.gz.", "Name a folder that does, or unset it.")


def _files(folder: Path, split: Split) -> list[Path]:
    return sorted(path for suffix in ("jsonl", "jsonl.gz") for path in folder.glob(f"{split}*.{suffix}"))


def _read(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line, raw in enumerate(cast(Iterable[bytes], file), start=1):
                if raw.strip():
                    yield _parse(str(path), line, raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {_why(error)}.", "Check the path, or fetch the file again.") from error


def _why(error: OSError | EOFError | zlib.error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")


def _parse(source: str, line: int, raw: bytes) -> Row:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Row(source, line, None, f"not UTF-8 at byte {error.start}")
    except (ValueError, RecursionError) as error:
        return Row(source, line, None, f"not JSON: {str(error)[:80]}")
    if not isinstance(value, dict):
        return Row(source, line, None, f"a JSON {type(value).__name__}, not an object")
    return Row(source, line, value)


# Names of splits on the hub, best first; some data sets put the kind of training behind them.
_SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "test": ("test", "validation", "eval")}


def _hub(source: str, split: Split) -> Iterator[Row]:
    if "/" not in source:
        raise InputError(f"There is no file {source}.", "Name a .jsonl file, a folder, or a data set of the hub as OWNER/NAME.")
    from datasets import get_dataset_split_names, load_dataset

    # Our one line says what these say for every try.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        names = list(map(str, get_dataset_split_names(source)))
        found = split_of(names, split)
        loaded = load_dataset(source, split=found) if found else []
    except Exception as error:
        # The library raises many kinds for one event: the data set is not to be had.
        raise DownloadError(
            f"The data set {source!r} is neither a file nor to be had from the hub: {brief(error)}.",
            "Check the name and the network, or name a local .jsonl file.",
        ) from error
    if split == "train" and not found:
        raise InputError(f"The data set {source!r} has no split `train`; it has {', '.join(names)}.", "Use another data set.")
    for line, value in enumerate(loaded, start=1):
        yield Row(source, line, dict(value))


def split_of(names: Sequence[str], split: Split) -> str | None:
    """Which of a data set's `names` is its `split`: the plain one, or one such as `train_sft`; None where there is none."""
    wanted = _SPLITS[split]
    likely = [*wanted, *(f"{one}_{kind}" for one in wanted for kind in ("sft", "ift"))]
    further = [name for one in wanted for name in names if name.startswith(f"{one}_")]
    return next((name for name in [*likely, *further] if name in names), None)
