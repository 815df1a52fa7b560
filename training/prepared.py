"""Packed data on disk: made once by the launcher, mapped into memory by every rank."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.template import Encoded
from training.config import Recipe
from training.dataset import Corpus, Dialogue, Reject
from training.encoding import TEMPLATES, Vocabulary, pieces
from training.packing import pack


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a packed split.

    trained_share: trained tokens over content tokens.  fill: content tokens over tokens of the blocks.
    left_out: exchanges that no block could hold.
    """

    dialogues: int
    pieces: int
    blocks: int
    tokens: int
    trained_tokens: int
    trained_share: float
    fill: float
    left_out: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Packed:
    """Blocks of whole dialogues.

    ids, trained: all dialogues one after the other, in the order of the blocks.
    borders: where each dialogue begins, and the end of the last.  blocks: the first dialogue of each block, and their number.
    rows: source and line of each dialogue.
    """

    ids: NDArray[np.int32]
    trained: NDArray[np.bool_]
    borders: NDArray[np.int64]
    blocks: NDArray[np.int64]
    rows: list[tuple[str, int]]
    facts: Facts

    def __len__(self) -> int:
        return len(self.blocks) - 1

    def documents(self, block: int) -> list[tuple[NDArray[np.int32], NDArray[np.bool_]]]:
        """Ids and loss mask of each dialogue in a block."""
        numbers = range(int(self.blocks[block]), int(self.blocks[block + 1]))
        spans = [slice(int(self.borders[one]), int(self.borders[one + 1])) for one in numbers]
        return [(self.ids[span], self.trained[span]) for span in spans]

    def pairs(self, block: int) -> int:
        """Pairs of tokens in the same dialogue of a block, in which the work on full blocks differs most."""
        borders = self.borders[int(self.blocks[block]) : int(self.blocks[block + 1]) + 1]
        return int(np.square(np.diff(borders)).sum())

    def named(self, blocks: Iterable[int]) -> str:
        """The rows of blocks, for messages: each source with its lines."""
        lines: dict[str, set[int]] = {}
        for block in blocks:
            for source, line in self.rows[int(self.blocks[block]) : int(self.blocks[block + 1])]:
                lines.setdefault(source, set()).add(line)
        return "; ".join(f"{source} line {', '.join(map(str, sorted(found)))}" for source, found in lines.items())


def build(dialogues: Sequence[Dialogue], recipe: Recipe, vocabulary: Vocabulary, rejects: list[Reject]) -> Packed:
    """The dialogues encoded, cut where they are too long, and packed; what no block can hold is added to `rejects`."""
    encoded: list[_Compact] = []
    rows: list[tuple[str, int]] = []
    left_out = 0
    for dialogue in dialogues:
        cut = pieces(dialogue.conversation, TEMPLATES[recipe.template], vocabulary, recipe.block)
        encoded += map(_compact, cut.encoded)
        rows += [(dialogue.source, dialogue.line)] * len(cut.encoded)
        if cut.left_out:
            left_out += cut.left_out
            reason = f"{cut.left_out} exchange(s) longer than a block of {recipe.block} tokens"
            rejects.append(Reject(dialogue.source, dialogue.line, reason))
    blocks = pack([len(ids) for ids, _ in encoded], recipe.block)
    return _assembled(encoded, rows, blocks, recipe.block, (len(dialogues), left_out))


def prepare(corpus: Corpus, recipe: Recipe, vocabulary: Vocabulary, folder: Path) -> tuple[Packed, Packed, list[Reject]]:
    """Train and test data, packed and written to `folder`; also every reject so far."""
    rejects = list(corpus.rejects)
    train, test = (build(part, recipe, vocabulary, rejects) for part in (corpus.train, corpus.test))
    for name, packed in (("train", train), ("test", test)):
        save(packed, folder / name)
    return train, test, rejects


def save(packed: Packed, folder: Path) -> None:
    """Write the arrays and their facts to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ids", "trained", "borders", "blocks"):
        np.save(folder / f"{name}.npy", getattr(packed, name))
    (folder / "facts.json").write_text(json.dumps({"facts": asdict(packed.facts), "rows": packed.rows}), encoding="utf-8")


def load(folder: Path) -> Packed:
    """What `save` wrote, with the arrays mapped rather than read."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "trained", "borders", "blocks")}
    about = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return Packed(rows=[(source, line) for source, line in about["rows"]], facts=Facts(**about["facts"]), **arrays)


_Compact = tuple[NDArray[np.int32], NDArray[np.bool_]]


def _compact(encoded: Encoded) -> _Compact:
    """Ids and mask as arrays, which take a tenth of the memory of tuples."""
    return np.array(encoded.ids, dtype=np.int32), np.array(encoded.trained, dtype=np.bool_)


def _assembled(
    encoded: list[_Compact], rows: list[tuple[str, int]], blocks: list[list[int]], block: int, counts: tuple[int, int]
) -> Packed:
    order = [index for members in blocks for index in members]
    ids = np.concatenate([np.empty(0, dtype=np.int32), *(encoded[index][0] for index in order)])
    trained = np.concatenate([np.empty(0, dtype=np.bool_), *(encoded[index][1] for index in order)])
    borders = np.cumsum([0, *(len(encoded[index][0]) for index in order)], dtype=np.int64)
    starts = np.cumsum([0, *(len(members) for members in blocks)], dtype=np.int64)
    seal = hashlib.sha256(b"".join(array.tobytes() for array in (ids, trained, borders, starts))).hexdigest()
    facts = Facts(
        dialogues=counts[0],
        pieces=len(encoded),
        blocks=len(blocks),
        tokens=len(ids),
        trained_tokens=int(trained.sum()),
        trained_share=float(trained.mean()) if len(ids) else 0.0,
        fill=len(ids) / (len(blocks) * block) if blocks else 0.0,
        left_out=counts[1],
        fingerprint=seal[:16],
    )
    return Packed(ids, trained, borders, starts, [rows[index] for index in order], facts)
