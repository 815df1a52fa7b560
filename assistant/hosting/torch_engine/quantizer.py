"""8 and 4 bits of our own as transformers' loading takes them: each weight is rounded as it comes from the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from assistant.hosting.torch_engine import int4, int8
from assistant.hosting.torch_engine.int4 import Int4Linear
from assistant.hosting.torch_engine.int8 import Int8Linear

_EIGHT, _FOUR = "starchat-int8", "starchat-int4"


class _Embedding(nn.Embedding):
    """Looks vectors up in bfloat16 and hands them on in float32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).float()


@register_quantization_config(_EIGHT)
class Int8Config(QuantizationConfigMixin):
    """Asks `from_pretrained` for 8 bits."""

    def __init__(self, quant_method: str = _EIGHT) -> None:
        super().__init__(quant_method=quant_method)  # type: ignore[arg-type]  # a registered name does as well


@register_quantization_config(_FOUR)
class Int4Config(QuantizationConfigMixin):
    """Asks `from_pretrained` for 4 bits, and 8 for the head."""

    def __init__(self, quant_method: str = _FOUR) -> None:
        super().__init__(quant_method=quant_method)  # type: ignore[arg-type]  # a registered name does as well


def rounded(model: PreTrainedModel, quantization: str) -> None:
    """Round a model that is in memory already, to what loading it with this quantization gives."""
    of_weight: Callable[..., nn.Module] = {"int8": int8.of_weight, "int4": int4.of_weight}[quantization]
    for name, linear in list(_linears(model)):
        model.set_submodule(name, of_weight(linear.weight.data, linear.bias))
    _prepare_embedding(model)
    _finish(model)


class _Quantizer(HfQuantizer):
    """Rounds each weight as it is read, so that the whole never stands in memory in another format.

    Of a folder that `rounded` made the weights are taken as they are.
    """

    kind: type[Int8Linear] | type[Int4Linear]

    def _process_model_before_weight_loading(self, model: Any, **_options: object) -> None:  # noqa: ANN401 - a model of any kind
        for name, linear in list(_linears(model)):
            layer = self.kind(linear.in_features, linear.out_features, linear.bias, linear.weight.device)
            model.set_submodule(name, layer)
        _prepare_embedding(model)
        if self.pre_quantized:
            head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
            model.set_output_embeddings(Int8Linear(head.in_features, head.out_features, head.bias, head.weight.device))
            embedding.weight = nn.Parameter(embedding.weight.to(torch.bfloat16), requires_grad=False)

    def _process_model_after_weight_loading(self, model: Any, **_options: object) -> Any:  # noqa: ANN401 - a model of any kind
        _finish(model)
        return model

    def param_needs_quantization(self, model: PreTrainedModel, param_name: str, **_options: object) -> bool:
        module, _, name = param_name.rpartition(".")
        return name == "weight" and isinstance(model.get_submodule(module), self.kind)

    def is_serializable(self) -> bool:
        return False

    @property
    def is_trainable(self) -> bool:
        return False


def _linears(model: Any) -> Iterator[tuple[str, nn.Linear]]:  # noqa: ANN401 - a model of any kind
    """The linear layers but for the head, by name."""
    head = model.get_output_embeddings()
    named = ((name, module) for name, module in model.named_modules() if module is not head)
    return ((name, module) for name, module in named if isinstance(module, nn.Linear))


def _prepare_embedding(model: Any) -> None:  # noqa: ANN401 - a model of any kind
    embedding = model.get_input_embeddings()
    if type(embedding) is nn.Embedding:  # another kind does more than look up
        embedding.__class__ = _Embedding


def _finish(model: Any) -> None:  # noqa: ANN401 - a model of any kind
    """The head comes last, since it may be tied to the embedding, which stays; what is left computes in float32."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if isinstance(head, nn.Linear):
        model.set_output_embeddings(int8.of_weight(head.weight.data, head.bias))
    for parameter in model.parameters():
        if parameter.is_floating_point():
            halved = isinstance(embedding, _Embedding) and parameter is embedding.weight
            # A copy, since a view would keep the whole file mapped.
            parameter.data = parameter.data.to(torch.bfloat16 if halved else torch.float32, copy=True)


@register_quantizer(_EIGHT)
class _Eight(_Quantizer):
    kind = Int8Linear

    def get_quantize_ops(self) -> ConversionOps:
        return _Convert(lambda weight: dict(zip(("weight", "scale"), int8.quantised(weight), strict=True)))


@register_quantizer(_FOUR)
class _Four(_Quantizer):
    kind = Int4Linear

    def get_quantize_ops(self) -> ConversionOps:
        return _Convert(lambda weight: dict(zip(("weight", "steps", "scale"), int4.quantised(weight), strict=True)))


class _Convert(ConversionOps):
    """From `….weight` in floats to what a layer holds of it."""

    def __init__(self, rounding: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> None:
        self._rounding = rounding

    def convert(self, input_dict: dict[str, Any], *_patterns: object, **_options: object) -> Any:  # noqa: ANN401 - as the library has it
        result: dict[str, torch.Tensor] = {}
        for name, value in input_dict.items():
            found = self._rounding(value[0] if isinstance(value, list) else value)
            result |= {name.removesuffix("weight") + part: tensor for part, tensor in found.items()}
        return result
