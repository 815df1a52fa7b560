"""Parameter counts of a recipe's model, found on the meta device: nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from training.config import Recipe

# Shapes of the bases that the recipes name, so that a plan needs no network; from their config.json on the hub.
_KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "bigcode/starcoderbase": (
        "gpt_bigcode",
        {"n_layer": 40, "n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_positions": 8192},
    ),
    "bigcode/starcoderbase-1b": (
        "gpt_bigcode",
        {"n_layer": 24, "n_embd": 2048, "n_head": 16, "n_inner": 8192, "n_positions": 8192},
    ),
    "bigcode/starcoder2-15b": (
        "starcoder2",
        {
            "num_hidden_layers": 40,
            "hidden_size": 6144,
            "num_attention_heads": 48,
            "num_key_value_heads": 4,
            "intermediate_size": 24576,
            "max_position_embeddings": 16384,
            "tie_word_embeddings": False,
        },
    ),
}
_KNOWN["bigcode/starcoder"] = _KNOWN["bigcode/starcoderplus"] = _KNOWN["bigcode/starcoderbase"]
_KNOWN_ROWS = 49152


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that memory and time follow from.

    parameters: all of them, tied ones once.  embedding: of the input table.
    linear: of the linear layers, which an adapter follows.  layer: of one transformer layer.
    inputs_and_outputs: the sum of inputs and outputs of the linear layers, which a LoRA adapter's size is a multiple of.
    """

    parameters: int
    embedding: int
    linear: int
    layer: int
    inputs_and_outputs: int
    layers: int
    width: int
    rows: int
    positions: int


def shape(recipe: Recipe) -> Shape:
    """The shape of the recipe's model.

    Raises:
        ModelError: the base is none of the well-known ones and cannot be had.
    """
    decisive = ("base", "revision", "layers", "width", "heads", "vocab", "block")
    return _counted(Recipe(**{key: getattr(recipe, key) for key in decisive}))


@lru_cache(maxsize=8)
def _counted(recipe: Recipe) -> Shape:
    import torch
    from transformers import AutoModelForCausalLM

    config = configuration(recipe)
    factory: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = factory.from_config(config)
    linears = [one for name, one in model.named_modules() if isinstance(one, torch.nn.Linear) and "lm_head" not in name]
    blocks = next(one for one in model.modules() if isinstance(one, torch.nn.ModuleList))
    sizes = {id(one): one.numel() for one in model.parameters()}
    return Shape(
        parameters=sum(sizes.values()),
        embedding=model.get_input_embeddings().weight.numel(),
        linear=sum(one.weight.numel() for one in linears),
        layer=sum(one.numel() for one in blocks[0].parameters()),
        inputs_and_outputs=sum(one.in_features + one.out_features for one in linears),
        layers=len(blocks),
        width=config.hidden_size,
        rows=config.vocab_size,
        positions=int(getattr(config, "max_position_embeddings", recipe.block)),
    )


def configuration(recipe: Recipe) -> Any:  # noqa: ANN401 - a transformers configuration of any architecture
    """The configuration of the recipe's model with room for its control tokens, by name for the well-known bases."""
    from transformers import AutoConfig

    from training.model import shape_of

    if not recipe.base:
        return shape_of(recipe, recipe.vocab)
    if recipe.base in _KNOWN:
        kind, sizes = _KNOWN[recipe.base]
        factory: Any = AutoConfig
        return factory.for_model(kind, vocab_size=_KNOWN_ROWS + 64, bos_token_id=0, eos_token_id=0, **sizes)
    return shape_of(recipe, 0)


def flops_per_token(shape: Shape, *, adapter: bool) -> float:
    """Floating-point operations of one token forward and backward, without attention's (Kaplan et al., 2020).

    Six for every parameter that multiplies: two forward, two for the gradient of the input, two for that of the weight, which
    an adapter does without.
    """
    multiplying = shape.linear + shape.rows * shape.width
    return (4.0 if adapter else 6.0) * multiplying
