"""Cross-entropy over trained tokens only, without ever holding the logits of a whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from training import attention
from training.collator import IGNORED


class TrainedLoss(nn.Module):
    """A causal language model with its loss: what DeepSpeed wraps.

    `forward` takes int64 tensors of shape (blocks, block length) and gives the sum, not the mean, of the cross-entropy over
    the trained targets, as a float32 scalar; the trainer divides by the number of trained tokens of the whole global batch.
    """

    def __init__(self, model: nn.Module, chunk: int) -> None:
        super().__init__()
        self.model = model
        causal: Any = model.get_base_model() if hasattr(model, "peft_config") else model  # type: ignore[operator]  # of peft
        # Kept in a list so that torch does not register the body a second time under another name.
        self._body = [causal.base_model]
        self.head = _Head(causal.get_output_embeddings().weight, chunk)
        self.attention = str(causal.config._attn_implementation)

    def forward(self, input_ids: Tensor, position_ids: Tensor, targets: Tensor) -> Tensor:
        """The summed loss; see the class."""
        if self.attention == "flash_attention_2":
            input_ids, position_ids, targets = (one.reshape(1, -1) for one in (input_ids, position_ids, targets))
        more = attention.arguments(self.attention, position_ids)
        # A cache or a mask of ones would let attention cross from one dialogue to the next.
        hidden = self._body[0](input_ids, position_ids=position_ids, use_cache=False, **more).last_hidden_state
        wanted = (targets != IGNORED).flatten().nonzero().flatten()
        found: Tensor = self.head(hidden.flatten(0, 1)[wanted], targets.flatten()[wanted])
        return found


class _Head(nn.Module):
    """The output projection, as a module of its own so that ZeRO-3 gathers its weight around the chunks."""

    def __init__(self, weight: nn.Parameter, chunk: int) -> None:
        super().__init__()
        self.weight = weight
        self.chunk = chunk

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """hidden: (tokens, width); targets: (tokens,)."""
        loss: Tensor = _ChunkedCrossEntropy.apply(hidden, self.weight, targets, self.chunk)  # type: ignore[no-untyped-call]  # of torch
        return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one walk over the chunks: d loss / d logits = softmax(logits) - one-hot(targets)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int) -> Tensor:  # noqa: ANN401 - of torch
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        of_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        # Chunks are added up in float32, as bfloat16 would lose the small ones.
        of_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(targets), chunk):
            part, wanted = hidden[start : start + chunk], targets[start : start + chunk, None]
            logits = (part @ weight.T).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            loss += (normaliser - logits.gather(1, wanted)).sum()
            if of_hidden is None and of_weight is None:
                continue
            slope = logits.sub_(normaliser).exp_()
            slope.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=slope.dtype))
            slope = slope.to(part.dtype)
            if of_hidden is not None:
                of_hidden[start : start + chunk] = slope @ weight
            if of_weight is not None:
                of_weight += slope.T @ part
        ctx.save_for_backward(of_hidden, of_weight.to(weight.dtype) if of_weight is not None else None)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401 - of torch
        of_hidden, of_weight = ctx.saved_tensors
        return _scaled(of_hidden, grad), _scaled(of_weight, grad), None, None


def _scaled(slope: Tensor | None, grad: Tensor) -> Tensor | None:
    return None if slope is None else slope * grad.to(slope.dtype)
