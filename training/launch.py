"""From a recipe to running ranks: data first, then one process for each GPU, then what became of them."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from assistant.errors import AssistantError, Cancelled, InputError, ModelError, StorageError, UsageError, from_code
from training import dataset, prepared, sources, trackers, vocabulary
from training.config import Recipe
from training.encoding import Vocabulary
from training.machine import Machine, describe, disk_free_gib, is_imagined
from training.reasons import brief
from training.zero_config import zero_config


def run(recipe: Recipe, *, trial: bool = False) -> None:
    """Train the recipe on this machine (or this machine's share of several), from data to the saved model.

    A `trial` always begins anew and keeps no checkpoint.

    Raises:
        StorageError: the output folder is in use or cannot be written.
        UsageError: a package, or a key that the run needs, is missing; or the folder holds a run with other keys.
        AssistantError: whatever stopped a rank, as the rank said it.
    """
    recipe = with_hostfile(recipe)
    machine = _machine(recipe)
    _at_hand(recipe)
    with _alone(recipe.local_folder):
        if trial:
            shutil.rmtree(recipe.folder / "checkpoints", ignore_errors=True)
        _whole(recipe, machine)
        if trial:
            shutil.rmtree(recipe.folder / "checkpoints", ignore_errors=True)
    _tell(recipe)
    if trial:
        sys.stderr.write(f"The whole road is open. {recipe.folder} can be removed.\n")


def _machine(recipe: Recipe) -> Machine:
    """Where the run takes place; contradictions are refused here, before anything is read."""
    if is_imagined(recipe.gpus):
        raise UsageError(f"gpus={recipe.gpus} describes a machine for a plan.", "Add --plan, or use gpus=auto.")
    machine = describe(recipe.gpus)
    machine = replace(machine, count=machine.count * recipe.nodes)
    if machine.is_cpu and recipe.attention != "sdpa":
        raise UsageError("Flash attention needs a GPU, and none was found.", "Use attention=sdpa.")
    # The ranks make the same configuration again.
    zero_config(recipe, machine.count, cpu=machine.is_cpu)
    return machine


def _at_hand(recipe: Recipe) -> None:
    """Refuse a run that would end for want of a folder, a package or an account, some of them only after hours."""
    if recipe.base.startswith(("/", ".", "~")) and not (Path(recipe.base) / "config.json").is_file():
        raise ModelError(f"There is no model in {recipe.base}.", "Set base to a folder with a config.json, or to a hub id.")
    if recipe.base and Path(recipe.base).resolve() == (recipe.folder / "model").resolve():
        raise UsageError(f"The finished model would replace its base, {recipe.base}.", "Set output to another folder.")
    if find_spec("deepspeed") is None:
        raise UsageError("Training needs DeepSpeed, which is not installed.", "Install the extra: pip install -e '.[train]'")
    if recipe.adapter == "qlora" and find_spec("bitsandbytes") is None:
        raise UsageError("adapter=qlora needs bitsandbytes.", "Install the extra: pip install -e '.[gpu]'")
    if recipe.attention == "flash_attention_2" and find_spec("flash_attn") is None:
        raise UsageError("attention=flash_attention_2 needs the package flash-attn.", "Install it, or use attention=sdpa.")
    trackers.check(recipe)
    if recipe.push:
        from huggingface_hub import get_token

        if not get_token():
            raise UsageError(
                f"push={recipe.push}, but nobody is logged in to the hub.", "Run `hf auth login`, or leave push empty."
            )


def _whole(recipe: Recipe, machine: Machine) -> None:
    from training import resume

    resume.refuse_other_keys(recipe, recipe.folder / "checkpoints")
    try:
        notes, licences = ready(recipe)
    except OSError as error:
        raise _unusable(recipe.local_folder, error) from error
    _ranks(recipe, machine, notes, licences, _room(recipe))


def _tell(recipe: Recipe) -> None:
    """What the run came to, and what to do with it."""
    found = json.loads((recipe.folder / "report.json").read_text(encoding="utf-8"))
    losses = [found["eval_loss_first"], found["eval_loss_last"]]
    shown = "eval loss {:.4f} → {:.4f}, ".format(*losses) if None not in losses else ""
    model = recipe.folder / "model"
    lines = [f"done: {shown}{found['tokens_per_second']:,.0f} tokens/s; the report is {recipe.folder / 'report.md'}"]
    lines.append(f'ask it:       assistant ask -m {shlex.quote(str(model))} "…"')
    lines.append(f"give a name:  assistant models add {shlex.quote(str(model))} --name {spare_name(recipe.name)}")
    sys.stderr.writelines(f"{line}\n" for line in lines)


def spare_name(run: str) -> str:
    """A name that `assistant models add` takes: the run's own, unless a model of the catalogue has it."""
    from assistant.models.catalogue import find

    plain = re.sub(r"[^a-z0-9._-]+", "-", run.casefold()).strip("-._")[:60] or "model"
    return f"my-{plain}" if find(plain) else plain


def ready(recipe: Recipe) -> tuple[tuple[str, ...], dict[str, int]]:
    """Read, check, encode and pack the data into the run's folder; gives the notes and licences of the report."""
    folder = recipe.local_folder
    sys.stderr.write(f"reading {', '.join(map(sources.place, recipe.data))}\n")
    corpus = dataset.load(recipe, folder / "rejects.jsonl")
    tokenizer = vocabulary.obtain(recipe, corpus)
    vocabulary.save(tokenizer, folder / "tokenizer")
    train, test, rejects = prepared.prepare(corpus, recipe, Vocabulary(tokenizer), folder / "data")
    dataset.write_rejects(folder / "rejects.jsonl", rejects)
    if not len(train):
        first = f"{rejects[-1].source} line {rejects[-1].line}" if rejects else "the data"
        raise InputError(
            f"No dialogue fits into a block of {recipe.block} tokens, as in {first}.",
            f"Use a larger block. All are listed in {folder / 'rejects.jsonl'}.",
        )
    facts = train.facts
    notes = [*corpus.notes, f"{facts.trained_share:.1%} of {facts.tokens:,} tokens are trained"]
    notes.append(f"{facts.blocks} blocks of {recipe.block} tokens, {facts.fill:.1%} full; {len(test)} blocks for evaluation")
    if rejects:
        notes.append(f"{len(rejects)} rows or parts of rows were not used (rejects.jsonl of the run)")
    sys.stderr.writelines(f"{note}\n" for note in notes)
    return tuple(notes), dict(corpus.licences)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no second run writes to it."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StorageError(
            f"The output folder {folder} is in use by another run.", "Wait for it, or set output=FOLDER."
        ) from error
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _unusable(folder: Path, error: OSError) -> StorageError:
    reason = error.strerror or error
    return StorageError(
        f"The output folder {folder} cannot be used: {reason}.", "Check its permissions and space, or set output=FOLDER."
    )


def _room(recipe: Recipe) -> float:
    """Refuse what the disk cannot hold; memory is judged by a formula, and so only warned of.  Gives that of a rank, in GiB."""
    from training import plan

    made = plan.make(recipe)
    free = disk_free_gib(recipe.folder)
    if made.disk_gib > free and not (recipe.folder / "checkpoints").exists():
        raise StorageError(
            f"The run needs {plan.amount(made.disk_gib)} of disk, {plan.amount(free)} are free.",
            "Use keep=1, or output=FOLDER on another disk.",
        )
    sys.stderr.writelines(f"! {problem}\n" for problem in made.problems)
    return made.gpu_gib_per_rank


def _ranks(recipe: Recipe, machine: Machine, notes: tuple[str, ...], licences: dict[str, int], planned_gib: float) -> None:
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from training.worker import FAILURE, Job, main

    _hush("torch.distributed.elastic", "torch.multiprocessing")
    failure = recipe.folder / FAILURE
    failure.unlink(missing_ok=True)
    _environment(recipe, machine)
    # torch's launcher makes a folder for logs that it never removes.
    with TemporaryDirectory(prefix="starchat-training-") as logs:
        config = LaunchConfig(
            min_nodes=recipe.nodes,
            max_nodes=recipe.nodes,
            nproc_per_node=machine.count // recipe.nodes,
            rdzv_backend="c10d",
            rdzv_endpoint=recipe.rendezvous or "localhost:0",
            local_addr=_address(recipe.rendezvous) if recipe.nodes > 1 else None,
            run_id=recipe.name,
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            monitor_interval=0.2,
        )
        try:
            elastic_launch(config, main)(Job(recipe, machine, notes, licences, planned_gib))
        except SignalException as error:
            raise Cancelled("The run was stopped.", "The same command goes on from the newest checkpoint.") from error
        except ChildFailedError as error:
            raise _failure(failure, error) from error
        except (DistError, RendezvousError) as error:
            where = recipe.rendezvous or "this machine"
            raise AssistantError(
                f"The machines did not meet at {where}: {brief(error)}.",
                "Start the same command on each within some minutes, with rendezvous=HOST:PORT that all can reach.",
            ) from error


def _hush(*packages: str) -> None:
    """Silence packages whose loggers set their own levels, and that would say with tracebacks what our one line says."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(packages)]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _address(rendezvous: str) -> str | None:
    """The address of this machine on the way to the meeting place; its name need not be known to the others."""
    host, _, port = rendezvous.rpartition(":")
    try:
        family, kind, protocol, _, there = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(there)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UsageError(
            f"The meeting place {rendezvous} cannot be found: {brief(error)}.", "Set rendezvous=HOST:PORT to the first machine."
        ) from error


def _failure(path: Path, error: object) -> AssistantError:
    """What a rank said before it ended, or that it died without a word."""
    if path.is_file():
        said = json.loads(path.read_text(encoding="utf-8"))
        return from_code(said["code"], said["message"], said["remedy"])
    rank, first = error.get_first_failure()  # type: ignore[attr-defined]  # a ChildFailedError
    text = first.message.get("message", "") if isinstance(first.message, dict) else str(first.message)
    reason = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "") or f"exit code {first.exitcode}"
    if first.exitcode == -signal.SIGKILL:
        reason = "it was killed from outside, as happens when memory runs out"
    return AssistantError(
        f"Rank {rank} died: {reason[:300]}.", "Run the same command again: it goes on from the newest checkpoint."
    )


# By these, accelerate and transformers would place or load a model otherwise than the recipe says; one of them turns ZeRO off
# without a word in their own trainer.
_FOREIGN = ("ACCELERATE_", "FSDP_")


def _environment(recipe: Recipe, machine: Machine) -> None:
    """What the ranks inherit; set here because DeepSpeed reads it when it is imported."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    # More threads than cores make every one of them wait.
    threads = max(1, (os.cpu_count() or 1) * recipe.nodes // machine.count) if machine.is_cpu else 4
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ["DS_ACCELERATOR"] = "cpu" if machine.is_cpu else "cuda"
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "error")
    if recipe.nodes == 1 and machine.is_cpu:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


def with_hostfile(recipe: Recipe) -> Recipe:
    """The recipe with nodes and meeting place taken from its hostfile, in DeepSpeed's form: `name slots=8` a line."""
    if not recipe.hostfile:
        return recipe
    try:
        lines = Path(recipe.hostfile).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or brief(error)
        raise UsageError(f"The hostfile {recipe.hostfile} cannot be read: {reason}.", "Check its path.") from error
    hosts = [line.split()[0] for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not hosts:
        raise UsageError(f"The hostfile {recipe.hostfile} names no machine.", "Write one machine a line.")
    return replace(recipe, nodes=len(hosts), rendezvous=recipe.rendezvous or f"{hosts[0]}:29500")
