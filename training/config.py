"""A recipe: everything that a run depends on, in one frozen value.

Recipes are flat TOML files (`training/recipes/*.toml`, or any path); `key=value` on the command line overrides a key.  Nothing
else configures a run.  The text below each field is also what `python -m training keys` prints.
"""

from __future__ import annotations

import ast
import inspect
import math
import platform
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from assistant.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One fine-tune, completely described."""

    name: str = "custom"
    """What the run and its model are called."""
    about: str = ""
    """One sentence for the list of recipes."""

    base: str = ""
    """The model to start from: a folder or a hub id.  Empty: a new GPTBigCode model of `layers`, `width` and `heads`."""
    revision: str = "main"
    """The revision of `base` on the hub."""
    layers: int = 0
    """Layers of a new model."""
    width: int = 0
    """Hidden size of a new model."""
    heads: int = 0
    """Attention heads of a new model."""
    vocab: int = 0
    """Entries of the tokenizer that is trained for a new model, control tokens included."""
    template: Literal["starchat", "chatml"] = "starchat"
    """How dialogues are written down."""
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"
    """The attention kernel; flash attention needs its own package and a GPU."""
    adapter: Literal["none", "lora", "qlora"] = "none"
    """Train all weights, a LoRA adapter, or a LoRA adapter over 4-bit weights."""
    lora_rank: int = 16
    """Rank of the adapter."""
    lora_alpha: int = 32
    """Scale of the adapter: its output is multiplied by lora_alpha / lora_rank."""
    lora_dropout: float = 0.05
    """Dropout before the adapter."""

    data: tuple[str, ...] = ()
    """Where dialogues come from: JSONL files (also .gz), folders with train and test files, or hub data sets."""
    weights: tuple[float, ...] = ()
    """How often an epoch shows each source, in the order of `data`; empty means once each."""
    system: Literal["own", "assistant"] = "own"
    """System text of dialogues: their own or none, or else for those that have none the one that `assistant ask` sends."""
    eval_share: float = 0.05
    """Share of the dialogue trees kept for evaluation, where the data has no test split of its own."""
    languages: tuple[str, ...] = ()
    """Keep only rows that say one of these languages (`lang`); rows that say none are kept."""
    code_only: bool = False
    """Keep only dialogues that hold a fenced code block."""
    max_dialogues: int = 0
    """Use at most this many dialogues for training; 0 means all."""
    max_eval_dialogues: int = 0
    """Use at most this many dialogues for evaluation; 0 means all."""
    block: int = 1024
    """Tokens of a packed block, which is also the longest dialogue."""

    epochs: float = 3.0
    """How often the data is seen."""
    max_steps: int = 0
    """Stop after this many optimiser steps; 0 means as many as `epochs` asks for."""
    global_batch: int = 128
    """Blocks in one optimiser step, over all ranks."""
    micro_batch: int = 16
    """Blocks that one rank computes at a time; as large as fits, because accumulation multiplies ZeRO's traffic."""
    learning_rate: float = 2e-5
    """Peak of the cosine schedule."""
    final_learning_rate: float = 0.0
    """End of the cosine schedule, as a share of the peak."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises from zero."""
    weight_decay: float = 0.0
    """AdamW's decay, on matrices only."""
    beta2: float = 0.999
    """AdamW's second decay rate."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 means no clipping."""
    seed: int = 42
    """Seed of weights, order and split."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Numbers of forward and backward pass; the optimiser always keeps float32."""
    checkpointing: bool = True
    """Compute activations again in the backward pass instead of keeping them."""
    loss_chunk: int = 1024
    """Trained tokens whose logits exist at a time."""
    max_bad_steps: int = 3
    """Stop after this many steps in a row whose loss or gradient is not a number; each is skipped."""

    gpus: str = "auto"
    """`auto`, a number, `cpu:2` for ranks on the CPU, or for plans a machine such as `8xA100-80GB`."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What ZeRO-3 keeps in host memory: nothing, the optimiser's state, or weights too."""
    nodes: int = 1
    """Machines; start the same command on each."""
    rendezvous: str = ""
    """`host:port` of the first machine, where there are several."""
    hostfile: str = ""
    """A file with one machine a line (DeepSpeed's form); it sets `nodes` and `rendezvous`."""
    deepspeed: str = ""
    """A JSON file with further DeepSpeed settings; what the recipe decides may not be contradicted in it."""

    output: str = ""
    """The run's folder; empty means runs/NAME."""
    save_every: int = 50
    """Steps between checkpoints; 0 keeps one at the end only."""
    keep: int = 2
    """Checkpoints that are kept; at least one."""
    eval_every: int = 50
    """Steps between evaluations; 0 evaluates before the first and after the last step only."""
    tensorboard: bool = True
    """Write TensorBoard events to OUTPUT/tensorboard."""
    trackers: tuple[str, ...] = ()
    """Where else to report steps: names of accelerate's trackers, such as wandb or mlflow; each needs its package."""
    push: str = ""
    """Hub id to upload the finished model to; empty means no upload."""

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output or f"runs/{self.name}")

    @property
    def local_folder(self) -> Path:
        """Where this machine keeps packed data and tokenizer, apart from other machines that share the run's folder."""
        return self.folder if self.nodes == 1 else self.folder / "nodes" / platform.node()


def load(recipe: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of that name or path, with `key=value` overrides applied and contradictions refused.

    Raises:
        UsageError: naming the key, what it may be, and the nearest known name.
    """
    path = Path(recipe) if recipe.endswith(".toml") else RECIPES / f"{recipe}.toml"
    if not path.is_file():
        raise UsageError(f"There is no recipe {recipe!r}.", f"Use one of {', '.join(names())}, or the path of a .toml file.")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", "Mend the file.") from error
    loaded, given = _merge(Recipe(name=path.stem), raw, str(path)), dict(map(_split, overrides))
    # The recipe's weights are those of its own sources, and its sentence speaks of its own base, data and adapter.
    loaded = replace(loaded, weights=()) if "data" in given else loaded
    loaded = replace(loaded, about="") if given.keys() & {"base", "data", "adapter"} else loaded
    return checked(_merge(loaded, given, "The command line"))


def names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def checked(recipe: Recipe) -> Recipe:
    """`recipe` itself, where its keys do not contradict each other.

    Raises:
        UsageError: naming the keys that do.
    """
    for broken, sentence, remedy in _rules(recipe):
        if broken:
            raise UsageError(sentence, remedy)
    return recipe


def describe() -> dict[str, tuple[str, str]]:
    """For every key of a recipe its type and its text, from the source above."""
    hints = get_type_hints(Recipe)
    tree = ast.parse(inspect.getsource(Recipe)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, tuple[str, str]] = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = (_type_name(hints[field.target.id]), ast.literal_eval(text.value))
    return found


_POSITIVE = ("block", "global_batch", "micro_batch", "loss_chunk", "keep", "nodes", "max_bad_steps", "lora_rank", "lora_alpha")
_COUNTS = ("layers", "width", "heads", "vocab", "max_steps", "max_dialogues", "max_eval_dialogues", "save_every", "eval_every")
_OFTEN = 1e6  # Nobody means to see a row more often.
_NOT_NEGATIVE = (*_COUNTS, "seed", "weight_decay", "clip")


def _rules(recipe: Recipe) -> Iterable[tuple[bool, str, str]]:
    for key in _NOT_NEGATIVE:
        yield not 0 <= getattr(recipe, key) < math.inf, f"{key} is {getattr(recipe, key)}.", "It must be a number, at least 0."
    new = (recipe.layers, recipe.width, recipe.heads, recipe.vocab)
    both = bool(recipe.base) and any(new)
    yield both, "base and layers/width/heads/vocab exclude each other.", "Leave base empty, or the rest."
    yield not recipe.base and not all(new), "A new model needs layers, width, heads and vocab.", "Set them, or name a base."
    yield bool(recipe.heads) and recipe.width % max(recipe.heads, 1) != 0, "width is no multiple of heads.", "Change one."
    yield recipe.adapter != "none" and not recipe.base, "An adapter needs a base model.", "Set base, or adapter=none."
    yield recipe.adapter == "qlora" and recipe.offload != "none", "qlora and offload exclude each other.", "Use offload=none."
    yield recipe.gpus.startswith("cpu") and recipe.attention != "sdpa", "Flash attention needs a GPU.", "Use attention=sdpa."
    yield (
        len(recipe.weights) not in (0, len(recipe.data)),
        f"{len(recipe.weights)} weights for {len(recipe.data)} sources.",
        "Give one weight for each source in data, or none.",
    )
    for weight in recipe.weights:
        yield not 0 <= weight <= _OFTEN, f"A weight is {weight}.", "It must be from 0, which leaves a source out, to a million."
    for key in _POSITIVE:
        yield getattr(recipe, key) < 1, f"{key} is {getattr(recipe, key)}.", "It must be at least 1."
    for key in ("eval_share", "warmup", "final_learning_rate", "lora_dropout"):
        yield not 0 <= getattr(recipe, key) < 1, f"{key} is {getattr(recipe, key)}.", "It must be at least 0 and below 1."
    yield recipe.epochs <= 0 and recipe.max_steps <= 0, "Neither epochs nor max_steps is positive.", "Set one of them."
    yield not recipe.epochs <= _OFTEN, f"epochs is {recipe.epochs}.", "It must be at most a million; max_steps=N ends a run."
    yield not 0 < recipe.beta2 < 1, f"beta2 is {recipe.beta2}.", "It must be above 0 and below 1."
    yield not 0 < recipe.learning_rate < 1, f"learning_rate is {recipe.learning_rate}.", "It must be above 0 and below 1."
    yield (
        recipe.global_batch % recipe.micro_batch != 0,
        f"global_batch={recipe.global_batch} is no multiple of micro_batch={recipe.micro_batch}.",
        "Choose a micro_batch that divides it.",
    )
    yield (
        recipe.nodes > 1 and not recipe.rendezvous and not recipe.hostfile,
        "Several nodes need to know where to meet.",
        "Set rendezvous=HOST:PORT to the first machine, or hostfile=PATH.",
    )
    yield (
        bool(recipe.rendezvous) and re.fullmatch(r"\S+:\d{1,5}", recipe.rendezvous) is None,
        f"rendezvous is {recipe.rendezvous!r}.",
        "It must be HOST:PORT.",
    )


def _split(argument: str) -> tuple[str, str]:
    key, equals, value = argument.partition("=")
    if not equals:
        raise UsageError(
            f"{argument!r} is not understood.", "Overrides are written key=value; `python -m training keys` lists them."
        )
    return key, value


def _merge(recipe: Recipe, given: Mapping[str, object], origin: str) -> Recipe:
    hints = get_type_hints(Recipe)
    known = [field.name for field in fields(Recipe)]
    for key, value in given.items():
        if key not in known:
            initials = [name for name in known if "".join(word[0] for word in name.split("_")) == key]
            near = initials or get_close_matches(key, known, n=2, cutoff=0.5)
            remedy = f"Did you mean {' or '.join(near)}?" if near else "`python -m training keys` lists the known keys."
            raise UsageError(f"{origin} sets the unknown key {key!r}.", remedy)
        changed: dict[str, Any] = {key: _parsed(key, value, hints[key], origin)}
        recipe = replace(recipe, **changed)
    return recipe


def _parsed(key: str, value: object, kind: Any, origin: str) -> object:  # noqa: ANN401 - a type, or a special form of typing
    try:
        return _convert(value, kind)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{origin} sets {key} to {value!r}.", f"It must be {_type_name(kind)}.") from error


def _convert(value: object, kind: Any) -> object:  # noqa: ANN401 - a type, or a special form of typing
    if get_origin(kind) is Literal:
        return get_args(kind)[get_args(kind).index(value)]
    if get_origin(kind) is tuple:
        parts = [part for part in value.split(",") if part] if isinstance(value, str) else value
        if not isinstance(parts, list):
            raise TypeError
        return tuple(_convert(part, get_args(kind)[0]) for part in parts)
    if kind is bool:
        return value if isinstance(value, bool) else _BOOLEANS[str(value).lower()]
    if isinstance(value, bool) or (kind is not float and not isinstance(value, str | kind)):
        raise TypeError
    return kind(value)


_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


def _type_name(kind: Any) -> str:  # noqa: ANN401 - a type, or a special form of typing
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return f"a list, each {_type_name(get_args(kind)[0])}"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
