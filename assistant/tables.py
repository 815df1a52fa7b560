"""What the model is told of a CSV file: its name, its columns, its first rows; never the whole of it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from assistant.document import load
from assistant.errors import InputError

FIRST_ROWS = 5
MOST_COLUMNS = 50
_WIDEST = 60


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file that was read: where it lies, its header, its rows, and the character between its fields."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    delimiter: str


def read_table(path: Path) -> Table:
    """Read a CSV file with a header.

    Raises:
        InputError: it is missing, empty, no text, no CSV, or a row has not as many fields as the header, with its number.
        StorageError: it may not be read.
    """
    text = load(path).text
    delimiter = _delimiter(text)
    try:
        lines = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}.", "Check its quotes.") from error
    if len(lines) < 2:
        raise InputError(f"{path} has a header and no rows.", "The first line names the columns; rows follow.")
    columns = tuple(name.strip() for name in lines[0])
    if len(columns) > MOST_COLUMNS:
        raise InputError(f"{path} has {len(columns)} columns.", f"Keep the ones to draw, {MOST_COLUMNS} at most.")
    if "" in columns or len(set(columns)) < len(columns):
        raise InputError(f"{path} has columns without a name, or two of one name.", "Give each column a name of its own.")
    for number, row in enumerate(lines[1:], start=2):
        if len(row) != len(columns):
            raise InputError(
                f"{path}, row {number} has {len(row)} {'field' if len(row) == 1 else 'fields'}, its header {len(columns)}.",
                "Check the quotes and separators of that row.",
            )
    return Table(path, columns, tuple(map(tuple, lines[1:])), delimiter)


def described(table: Table) -> str:
    """A paragraph about the table for the model."""
    kinds = [f"- {name} ({_kind([row[place] for row in table.rows])})" for place, name in enumerate(table.columns)]
    first = [", ".join(field[:_WIDEST] for field in row) for row in table.rows[:FIRST_ROWS]]
    between = "" if table.delimiter == "," else f", separated by {table.delimiter!r}"
    return "\n".join(
        (
            f"The data is in the file `{table.path.name}` beside the script: CSV{between}, {len(table.rows):,} rows.",
            "Its columns:",
            *kinds,
            "Its first rows:",
            *first,
        )
    )


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[:8192], delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def _kind(values: list[str]) -> str:
    filled = [value.strip() for value in values if value.strip()]
    if filled and all(_is_number(value) for value in filled):
        return f"number, {min(filled, key=float)} to {max(filled, key=float)}"
    return f"text, {len(set(filled))} different"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
