"""From packed blocks to the tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.prepared import Packed

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch, all tensors of shape (blocks, block length) and type int64.

    position_ids: restart with every dialogue; this alone keeps attention inside it (see `collate`).
    targets: at each position the id of the next token where that is trained, else -100.
    trained: how many targets there are.
    """

    input_ids: Tensor
    position_ids: Tensor
    targets: Tensor
    trained: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(self.input_ids.to(device), self.position_ids.to(device), self.targets.to(device), self.trained)


def collate(packed: Packed, blocks: Sequence[int], shape: tuple[int, int], padding: int) -> Batch:
    """The micro-batch of those blocks, in a tensor of `shape` (rows, block length); rows left over are padding.

    Padding is one more dialogue without targets, so that it needs no attention mask: with a mask of ones, or with a key-value
    cache, transformers lets attention cross from one dialogue to the next.
    """
    ids = torch.full(shape, padding)
    positions = torch.arange(shape[1]).repeat(shape[0], 1)
    targets = torch.full(shape, IGNORED)
    for row, block in enumerate(blocks):
        start = 0
        for document, trained in packed.documents(block):
            end = start + len(document)
            tokens = torch.from_numpy(document.astype("int64"))
            ids[row, start:end] = tokens
            positions[row, start:end] = torch.arange(len(document))
            wanted = torch.from_numpy(trained[1:].copy())
            targets[row, start : end - 1][wanted] = tokens[1:][wanted]
            start = end
        positions[row, start:] = torch.arange(shape[1] - start)
    return Batch(ids, positions, targets, int((targets != IGNORED).sum()))
