"""What one rank does, from the first import to the saved model."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from assistant.errors import AssistantError, OutOfMemory, StorageError, UsageError
from training import (
    attention,
    export,
    loss,
    model,
    prepared,
    records,
    report,
    resume,
    sample,
    shapes,
    trackers,
    trainer,
    vocabulary,
)
from training.config import Recipe
from training.encoding import Vocabulary
from training.machine import GIB, Machine
from training.plan import amount
from training.progress import Progress, memory_gib
from training.reasons import brief
from training.schedule import plan
from training.zero_config import zero_config

FAILURE = "failure.json"
# What a full, read-only or foreign disk says.
_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Job:
    """What the launcher hands to every rank: the recipe, the machine, and what it knows of data and memory for the report.

    planned_gib: memory of a rank by the plan's formulas; None where no plan was made.
    """

    recipe: Recipe
    machine: Machine
    notes: tuple[str, ...]
    licences: dict[str, int]
    planned_gib: float | None = None


def main(job: Job) -> None:
    """Train, save, report.  An error that a user can understand is left in the run's folder for the launcher to show."""
    # Ctrl-C reaches every process of the terminal; the launcher alone says what became of the run.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _quiet()
    _end_with_parent()
    try:
        _work(job)
    except AssistantError as error:
        _leave(job, error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        _leave(job, _full(job, error))
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch has no error of its own for the memory of a host
            raise
        _leave(job, _full(job, error))
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        remedy = "Free space and run the same command again: it goes on from the newest checkpoint."
        _leave(job, StorageError(f"The run cannot write: {error}.", remedy))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _full(job: Job, error: BaseException) -> OutOfMemory:
    on_gpu = isinstance(error, torch.OutOfMemoryError)
    wanted = re.search(r"tried to allocate (\d+) bytes", str(error))
    reason = f"{amount(int(wanted[1]) / GIB)} more were not to be had" if wanted else brief(error)
    # The plan's figure for a rank is of its GPU where it has one.
    told = job.planned_gib is not None and on_gpu is not job.machine.is_cpu
    planned = f" By the plan, a rank takes {job.planned_gib:.1f} GiB." if told else ""
    where = "the GPU" if on_gpu else "the host"
    return OutOfMemory(f"The memory of {where} is full: {reason}.{planned}", "`--plan` says which keys make it fit.")


def _leave(job: Job, error: AssistantError) -> NoReturn:
    """End this rank at once: the others may be waiting in a collective that will never be complete."""
    said = {"code": error.code, "message": error.message, "remedy": error.remedy}
    path = job.recipe.folder / FAILURE
    aside = path.with_name(f".{FAILURE}.{os.getpid()}")
    try:
        # Ended in the middle of it by the launcher, a rank leaves no half of a file.
        aside.write_text(json.dumps(said), encoding="utf-8")
        aside.replace(path)
    except OSError:
        _say(str(error))
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    sys.stderr.flush()
    os._exit(1)


def _work(job: Job) -> None:
    recipe, folder = job.recipe, job.recipe.folder
    _join(job.machine)
    _agree(recipe)
    words = Vocabulary(vocabulary.load(recipe.local_folder / "tokenizer"))
    run = _ready(job, words)
    done = resume.resume(run.engine, recipe, run.folder, run.train.facts.fingerprint, _say)
    start = _eval_first(run, folder, done)
    metrics = records.read(folder / records.METRICS, done) if dist.get_rank() == 0 else []
    if dist.get_rank() == 0:
        _say(f"resumed at step {done}" if done else f"{run.schedule.steps} steps on {job.machine}")
    metrics += _train(run, done, job, metrics)
    held = _most_held(run)
    if dist.get_rank() == 0:
        _say("saving the model")
    # The weights come first; card, report and upload cannot lose them any more.
    saved = export.save(run.engine, recipe, words, folder)
    if dist.get_rank() == 0:
        export.describe(folder, job.notes, job.licences, recipe)
        memory = report.Memory(held, job.planned_gib)
        facts = (run.train.facts, run.test.facts)
        outcome = report.Outcome(start, *facts, job.notes, saved, memory, _answers(folder, recipe, words))
        report.write(folder, recipe, job.machine, metrics, outcome)
        if recipe.push:
            export.push(folder / export.MODEL, recipe.push)
    dist.barrier()


def _answers(folder: Path, recipe: Recipe, words: Vocabulary) -> tuple[sample.Sample, ...]:
    """What the model says; the run is complete without it."""
    try:
        return sample.answers(folder / export.MODEL, recipe, words)
    except Exception as error:
        # Whatever keeps the saved model from answering here is worth a line, and not the run.
        _say(f"No sample of the model's answers: {brief(error)}.")
        return ()


def _most_held(run: trainer.Run) -> float:
    """The most memory that any rank has held, in GiB; called by all ranks."""
    most = torch.tensor(memory_gib(run.engine.device), device=run.engine.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return float(most)


def _join(machine: Machine) -> None:
    if machine.is_cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    # Imported, it sets its level anew; what its warnings are about, our lines say with the rows.
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if machine.is_cpu:
        # Compiling this operation takes a minute and changes no number.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    else:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Rank 0 exports alone while the others wait.
    deepspeed.init_distributed(dist_backend="gloo" if machine.is_cpu else "nccl", timeout=timedelta(hours=2), verbose=False)


def _agree(recipe: Recipe) -> None:
    """Refuse machines that were started with different keys or have read different data."""
    keys = {key: value for key, value in asdict(recipe).items() if key not in ("data", "hostfile")}
    data = [prepared.load(recipe.local_folder / "data" / name).facts.fingerprint for name in ("train", "test")]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, (keys, data))
    for rank, (other_keys, other_data) in enumerate(found):
        differ = [key for key, value in found[0][0].items() if other_keys.get(key) != value]
        if differ or other_data != found[0][1]:
            what = f"the keys {', '.join(differ)} are" if differ else "the data are"
            remedy = "Start the same command on the same data everywhere."
            raise UsageError(f"Rank {rank} is of another run than rank 0: {what} not the same.", remedy)


def _ready(job: Job, words: Vocabulary) -> trainer.Run:
    import deepspeed

    recipe, folder = job.recipe, job.recipe.folder
    zero = zero_config(recipe, dist.get_world_size(), cpu=job.machine.is_cpu)
    built = model.build(recipe, vocabulary.rows(words), zero)
    if job.machine.is_cpu:
        attention.isolate(built)
    wrapped = loss.TrainedLoss(built, recipe.loss_chunk)
    engine, *_ = deepspeed.initialize(model=wrapped, config=zero, model_parameters=_groups(wrapped, recipe))
    engine.train()
    train, test = (prepared.load(recipe.local_folder / "data" / name) for name in ("train", "test"))
    padding = words.control_id(vocabulary.END_OF_TEXT) or 0
    return trainer.Run(recipe, engine, train, test, plan(recipe, len(train)), folder / "checkpoints", padding)


def _groups(wrapped: torch.nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    trained = [one for one in wrapped.parameters() if one.requires_grad]
    matrices = [one for one in trained if len(getattr(one, "ds_shape", one.shape)) > 1]
    vectors = [one for one in trained if len(getattr(one, "ds_shape", one.shape)) <= 1]
    groups = ({"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _train(run: trainer.Run, done: int, job: Job, earlier: list[trainer.Step]) -> list[trainer.Step]:
    if dist.get_rank() != 0:
        return list(trainer.steps(run, done, lambda _: None))
    flops = shapes.flops_per_token(shapes.shape(job.recipe), adapter=job.recipe.adapter != "none")
    progress = Progress(run.schedule.steps, job.machine, flops)
    further = trackers.begin(job.recipe, job.recipe.folder, _say)
    kept = records.Records(job.recipe.folder, earlier, tensorboard=job.recipe.tensorboard, warn=_say, trackers=further)
    taken: list[trainer.Step] = []
    for step in trainer.steps(run, done, _say):
        taken.append(step)
        progress.show(step, memory_gib(run.engine.device))
        kept.add(step, progress.tokens_per_second())
    kept.close()
    return taken


def _eval_first(run: trainer.Run, folder: Path, done: int) -> float | None:
    """The loss before the first step; a resumed run finds it where the first one left it."""
    path = folder / "start.json"
    if not len(run.test):
        return None
    if done:
        found: float | None = json.loads(path.read_text(encoding="utf-8"))["eval_loss"] if path.is_file() else None
        return found
    measured = trainer.evaluate(run)
    if dist.get_rank() == 0:
        path.write_text(json.dumps({"eval_loss": measured}), encoding="utf-8")
    return measured


def _end_with_parent() -> None:
    """A rank whose launcher was killed ends too, and so never writes beside the run that comes after."""
    launcher = multiprocessing.parent_process()
    # Asked of the system, it could be a launcher that has ended already.
    parent = launcher.pid if launcher else os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _quiet() -> None:
    """Leave the terminal to the progress line."""
    warnings.filterwarnings("ignore")
    for package in ("transformers", "bitsandbytes"):
        logging.getLogger(package).setLevel(logging.ERROR)
    from transformers.utils import logging as shown

    shown.disable_progress_bar()  # type: ignore[no-untyped-call]  # of transformers


def _say(sentence: str) -> None:
    # On a terminal, the progress line makes room.
    begin = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{begin}{sentence}\n")
    sys.stderr.flush()
