"""What the tests need of real ranks: `torchrun --nproc-per-node N ranks.py FOLDER STAGE N [key=value ...]`.

Each stage leaves a JSON file in FOLDER, which the tests read.  `whole`: an uninterrupted run, its partitions, a resumed half
of it, steps that are not numbers, and an adapter.  `cuts`: a run resumed from each of the steps in FOLDER/cuts.  `single`: the
run of `whole` on one rank, and the checkpoint of two ranks taken up by it, but not by another model or with other data.
"""

import json
import resource
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from assistant.errors import AssistantError, InputError
from training import checkpoints, config, export, launch, resume, trainer, vocabulary, worker
from training.encoding import Vocabulary
from training.machine import describe


def main():
    folder, stage, ranks, *keys = Path(sys.argv[1]), *sys.argv[2:]
    made = config.load("tiny", [*keys, f"gpus=cpu:{ranks}", *(["micro_batch=2"] if ranks == "1" else [])])
    job = worker.Job(made, describe(made.gpus), (), {})
    worker._quiet()
    worker._join(job.machine)
    found = {"whole": whole, "single": single, "cuts": cuts}[stage](job, folder)
    if dist.get_rank() == 0:
        (folder / f"{stage}.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def whole(job, folder):
    """Two ranks."""
    words = Vocabulary(vocabulary.load(job.recipe.folder / "tokenizer"))
    run = worker._ready(job, words)
    run = replace(run, folder=folder / "checkpoints")
    found = {"partitions": partitions(run.engine), "eval_first": trainer.evaluate(run)}
    found |= curve(run, 0)
    last = weights(run)
    if dist.get_rank() == 0:
        for path in sorted(run.folder.glob("step-*"))[2:]:
            shutil.rmtree(path)
    dist.barrier()
    found["offloaded"] = offloaded(job, words, run.folder, folder)
    again = replace(worker._ready(job, words), folder=run.folder)
    found["resumed_at"] = resume.resume(again.engine, again.recipe, again.folder, again.train.facts.fingerprint)
    found["resumed"] = curve(again, found["resumed_at"])
    found["same_weights"] = all(torch.equal(one, other) for one, other in zip(last, weights(again), strict=True))
    found["strangers"] = refusal(lambda: worker._agree(replace(job.recipe, seed=dist.get_rank())))
    found["disk"] = full_disk(again, folder / "disk")
    found["bad"] = bad_numbers(job, words, folder)
    found["adapter"] = adapter(job, words, folder)
    return found


def single(job, folder):
    """One rank with two micro-batches of two blocks, on what two ranks left behind."""
    words = Vocabulary(vocabulary.load(job.recipe.folder / "tokenizer"))
    fresh = replace(worker._ready(job, words), folder=folder / "single")
    found = curve(fresh, 0)
    again = replace(worker._ready(job, words), folder=folder / "checkpoints")
    kept = sorted(again.folder.glob("step-*"))[:2]
    taken = folder / "taken"
    taken.mkdir()
    for path in kept:
        shutil.copytree(path, taken / path.name)
    again = replace(again, folder=taken)
    found["resumed_at"] = resume.resume(again.engine, again.recipe, taken, again.train.facts.fingerprint)
    found["resumed"] = curve(again, found["resumed_at"])
    other = worker._ready(replace(job, recipe=replace(job.recipe, width=32)), words)
    facts = again.train.facts.fingerprint
    found["refused"] = [
        refusal(lambda: resume.resume(other.engine, other.recipe, taken, facts)),
        refusal(lambda: resume.resume(again.engine, again.recipe, taken, "other data")),
        refusal(lambda: resume.resume(again.engine, replace(again.recipe, seed=1), taken, facts)),
    ]
    return found


def cuts(job, folder):
    """For each step named in FOLDER/cuts: whether a run resumed there has the losses and weights of the uninterrupted one."""
    words = Vocabulary(vocabulary.load(job.recipe.folder / "tokenizer"))
    run = replace(worker._ready(job, words), folder=folder / "every")
    losses, last = curve(run, 0)["losses"], weights(run)
    found = {}
    for cut in map(int, (folder / "cuts").read_text().split()):
        again = replace(worker._ready(job, words), folder=folder / f"cut-{cut}")
        if dist.get_rank() == 0:
            shutil.copytree(run.folder / f"step-{cut:08}", again.folder / f"step-{cut:08}")
        dist.barrier()
        done = resume.resume(again.engine, again.recipe, again.folder, again.train.facts.fingerprint)
        same = curve(again, done)["losses"] == losses[cut:]
        found[cut] = (
            done == cut and same and all(torch.equal(one, other) for one, other in zip(last, weights(again), strict=True))
        )
    return found


def refusal(action):
    try:
        action()
    except AssistantError as error:
        return str(error)
    return ""


def curve(run, done):
    taken = list(trainer.steps(run, done, lambda _: None))
    return {"losses": [one.loss for one in taken], "evals": [one.eval_loss for one in taken if one.eval_loss is not None]}


def partitions(engine):
    """For every tensor: numbers of the whole, of this rank's part, and how many of the whole the rank can see."""
    return {name: [one.ds_numel, one.ds_tensor.numel(), one.numel()] for name, one in engine.module.named_parameters()}


def weights(run):
    from training import zero_state

    return [one.clone() for kind in zero_state.KINDS for one in zero_state.slices(run.engine, kind).values()]


def full_disk(run, folder):
    """The second rank may write only 1,000 bytes a file: that checkpoint is given up, older and newer ones are whole."""
    facts = run.train.facts.fingerprint
    resume.save(run.engine, run.recipe, folder, 1, facts)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if dist.get_rank() == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    problem = resume.save(run.engine, run.recipe, folder, 2, facts)
    left = sorted(path.name for path in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    again = resume.save(run.engine, run.recipe, folder, 3, facts)
    return {"problem": str(problem), "left": left, "again": again is None, "newest": checkpoints.newest(folder)[1].step}


def offloaded(job, words, checkpoints_, folder):
    """The last third of the run again from its checkpoint, with what ZeRO-3 keeps laid down on the host."""
    found = {}
    for kind in ("optimizer", "all"):
        run = replace(worker._ready(replace(job, recipe=replace(job.recipe, offload=kind)), words), folder=folder / kind)
        done = resume.resume(run.engine, run.recipe, checkpoints_, run.train.facts.fingerprint)
        found[kind] = [done, curve(run, done)["losses"]]
    return found


def bad_numbers(job, words, folder):
    """One weight that is not a number makes every loss so: nothing may change, and the end names the rows."""
    import deepspeed

    run = replace(worker._ready(job, words), folder=folder / "bad")
    spoilt = next(run.engine.module.parameters())
    with deepspeed.zero.GatheredParameters([spoilt], modifier_rank=0):
        if dist.get_rank() == 0:
            spoilt.data[-1, 0] = float("nan")
    before = weights(run)
    warnings, message = [], ""
    try:
        for _ in trainer.steps(run, 0, warnings.append):
            pass
    except InputError as error:
        message = str(error)
    same = all(torch.equal(one, other) for one, other in zip(before, weights(run), strict=True))
    return {"same_weights": same, "warnings": warnings, "message": message, "checkpoints": len(list(run.folder.glob("step-*")))}


def adapter(job, words, folder):
    """A saved model as the base of a LoRA run with another template, so that its embedding has to grow under ZeRO-3."""
    base = folder / "run" / "model"
    made = replace(
        *(job.recipe,),
        **{"base": str(base), "layers": 0, "width": 0, "heads": 0, "vocab": 0, "adapter": "lora", "lora_dropout": 0.0},
        **{"template": "chatml", "output": str(folder / "lora"), "max_steps": 4, "learning_rate": 5e-3, "dtype": "bfloat16"},
    )
    if dist.get_rank() == 0:
        launch.ready(made)
    dist.barrier()
    tokenizer = vocabulary.load(made.folder / "tokenizer")
    run = worker._ready(replace(job, recipe=made), Vocabulary(tokenizer))
    table = run.engine.module.model.get_input_embeddings().weight
    found = {"rows": table.ds_shape[0], "frozen": sum(not one.requires_grad for one in run.engine.module.parameters())}
    found |= curve(run, 0)
    saved = export.save(run.engine, made, Vocabulary(tokenizer), made.folder)
    return found | {"difference": saved.difference if saved else None}


if __name__ == "__main__":
    main()
