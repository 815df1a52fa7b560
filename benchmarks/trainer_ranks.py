"""One rank of `benchmarks.trainers`: trains the same model on the same packed data by our loop or by one of its peers.

    torchrun --nproc-per-node 2 -m benchmarks.trainer_ranks ours|trainer|crossing|sft FOLDER KEY=VALUE …

FOLDER holds what `benchmarks.trainers` prepared: the packed data, the tokenizer and the model's first weights.  Rank 0 leaves
`{"losses": […], "seconds": […], "tokens": […]}`, one entry a step, in FOLDER/KIND.json.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from training import config, prepared, schedule, trainer, worker
from training.collator import collate
from training.encoding import Vocabulary
from training.machine import describe
from training.vocabulary import load
from training.zero_config import zero_config


@dataclass
class Measured:
    """What a run gives: one entry a step; tokens are content tokens of this rank, padding left out."""

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    _last: float = 0.0
    _seen: int = 0

    def begin(self) -> None:
        self._last = time.perf_counter()

    def saw(self, tokens: int) -> None:
        self._seen += tokens

    def step(self, seconds: float | None = None) -> None:
        """A step has ended; `seconds` where something that is no part of it came in between, as our last evaluation does."""
        now = time.perf_counter()
        self.seconds.append(now - self._last if seconds is None else seconds)
        self.tokens.append(self._seen)
        self._last, self._seen = now, 0

    def as_json(self) -> dict[str, Any]:
        return {"losses": self.losses, "seconds": self.seconds, "tokens": self.tokens}


def main() -> None:
    kind, folder, *keys = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    recipe = config.load("tiny", keys)
    worker._quiet()
    if kind == "ours":
        worker._join(describe(recipe.gpus))
    else:
        import deepspeed

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # as in ours: it would be compiled for a minute
    runs = {"ours": _ours, "trainer": _trainer, "crossing": partial(_trainer, isolated=False), "sft": _sft}
    measured = runs[kind](recipe, folder)
    if dist.get_rank() == 0:
        (folder / f"{kind}.json").write_text(json.dumps(measured.as_json()), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def _ours(recipe: config.Recipe, folder: Path) -> Measured:
    run = worker._ready(worker.Job(recipe, describe(recipe.gpus), (), {}), Vocabulary(load(folder / "tokenizer")))
    measured = Measured()
    measured.begin()
    for step in trainer.steps(run, 0, print):
        if len(measured.losses) < recipe.max_steps:
            measured.losses.append(step.loss)
            measured.saw(step.tokens // dist.get_world_size())
            measured.step(step.seconds)
    return measured


def _trainer(recipe: config.Recipe, folder: Path, *, isolated: bool = True) -> Measured:
    """Hugging Face's Trainer on our packed blocks, in our order, with our schedule: the arithmetic is equal.

    Not isolated, it is told nothing of the dialogues in a block, as where texts are simply concatenated: attention crosses from
    one to the next, which computes something else, and needs no mask.
    """
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
    from transformers.trainer_callback import TrainerCallback

    packed = prepared.load(folder / "data" / "train")
    plan = schedule.plan(recipe, len(packed))
    order = [block for step in range(recipe.max_steps) for block in plan.at(step)]
    measured = Measured()

    def collated(blocks: list[int]) -> dict[str, Any]:
        batch = collate(packed, blocks, (len(blocks), recipe.block), 0)
        measured.saw(sum(len(ids) for block in blocks for ids, _ in packed.documents(block)))
        labels = torch.full_like(batch.targets, -100)
        labels[:, 1:] = batch.targets[:, :-1]  # the model shifts labels itself
        positions = {"position_ids": batch.position_ids} if isolated else {}
        return {"input_ids": batch.input_ids, "labels": labels} | positions

    class Ordered(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(order)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = _learning_rates(recipe, optimizer or self.optimizer)
            return self.lr_scheduler

    arguments = TrainingArguments(**_arguments(recipe, folder), remove_unused_columns=False)
    model = AutoModelForCausalLM.from_pretrained(folder / "first", dtype=torch.float32, attn_implementation="sdpa")
    made = Ordered(
        model=model, args=arguments, train_dataset=order, data_collator=collated, callbacks=[_watch(TrainerCallback, measured)]
    )
    made.train()
    return measured


def _sft(recipe: config.Recipe, folder: Path) -> Measured:
    """trl's SFTTrainer on the same dialogues, tokenized by us.

    It packs them itself (best fit), pads nothing, and lays the blocks of a micro-batch end to end in one row, with position ids
    that restart: the mask that transformers makes of these isolates the dialogues, and is as long and wide as that row.
    """
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.trainer_callback import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    packed = prepared.load(folder / "data" / "train")
    documents = [document for block in range(len(packed)) for document in packed.documents(block)]
    rows = Dataset.from_dict(
        {
            "input_ids": [ids.tolist() for ids, _ in documents],
            "labels": [np.where(trained, ids, -100).tolist() for ids, trained in documents],
        }
    )
    measured = Measured()
    arguments = SFTConfig(
        **_arguments(recipe, folder),
        packing=True,
        pad_token="<|endoftext|>",
        max_length=recipe.block,
        dataset_num_proc=1,
    )
    model = AutoModelForCausalLM.from_pretrained(folder / "first", dtype=torch.float32, attn_implementation="sdpa")
    made = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        callbacks=[_watch(TrainerCallback, measured)],
    )
    inner = made.data_collator

    def counted(examples: list[Any]) -> Any:
        measured.saw(sum(len(example["input_ids"]) for example in examples))
        return inner(examples)

    made.data_collator = counted
    made.train()
    return measured


def _arguments(recipe: config.Recipe, folder: Path) -> dict[str, Any]:
    """What both peers are told; the rest of them are their defaults."""
    ours = zero_config(recipe, dist.get_world_size() if dist.is_initialized() else 2, cpu=True)
    ours.pop("optimizer")
    return {
        "output_dir": str(folder / "out"),
        "deepspeed": ours,
        "use_cpu": True,
        "max_steps": recipe.max_steps,
        "per_device_train_batch_size": recipe.micro_batch,
        "gradient_accumulation_steps": 1,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "adam_beta2": recipe.beta2,
        "max_grad_norm": recipe.clip,
        "lr_scheduler_type": "cosine",
        "warmup_steps": round(recipe.warmup * recipe.max_steps),
        "optim": "adamw_torch",
        "bf16": recipe.dtype == "bfloat16",
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": recipe.seed,
        "dataloader_pin_memory": False,
    }


def _learning_rates(recipe: config.Recipe, optimizer: Any) -> Any:
    of_step = partial(schedule.learning_rate, recipe)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: of_step(step, recipe.max_steps) / recipe.learning_rate)


def _watch(kind: type, measured: Measured) -> Any:
    def on_train_begin(self: Any, *_: Any, **__: Any) -> None:
        measured.begin()

    def on_step_end(self: Any, *_: Any, **__: Any) -> None:
        measured.step()

    def on_log(self: Any, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            measured.losses.append(float(logs["loss"]))

    return type("Watch", (kind,), {"on_train_begin": on_train_begin, "on_step_end": on_step_end, "on_log": on_log})()


if __name__ == "__main__":
    main()
