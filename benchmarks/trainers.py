"""Our training loop against two others on the same work: Hugging Face's Trainer and trl's SFTTrainer, all on ZeRO-3.

    python -m benchmarks.trainers [--steps 40] [--rounds 2] [KEY=VALUE …]

Same model and first weights, same dialogues, packing in all, two ranks on the CPU; the runs take turns.  Figures are content
tokens a second (padding left out) without the first steps, and the losses of the two whose arithmetic is equal.  A second set
of rows trains every token, as if there were no loss mask.  The Trainer runs once more with blocks whose dialogues see each
other, as where texts are concatenated: that computes something else, and is shown because many do it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Goal, keep, median, spin_loop

FOLDER = Path("bench/training")
RANKS = "benchmarks.trainer_ranks"
WARM_UP = 8
# A small GPTBigCode on StarChat's own block length; the learning rate is one at which no gradient grows by twenty in one step,
# which would make a thousandth of the last digits and part any two curves.
SHAPE = (
    "layers=3",
    "block=1024",
    "global_batch=4",
    "micro_batch=2",
    "max_dialogues=2400",
    "weights=1,2",
    "system=own",
    "learning_rate=1e-3",
)
KINDS = {
    "ours": "ours",
    "trainer": "HF Trainer",
    "crossing": "HF Trainer without isolation",
    "sft": "trl SFTTrainer",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="keys of the recipe `tiny`")
    options = parser.parse_args()
    keys = [
        *SHAPE,
        *options.keys,
        f"max_steps={options.steps}",
        "epochs=100",
        "eval_every=0",
        "save_every=0",
        "tensorboard=false",
    ]
    variants = {"masked": FOLDER / "masked", "all tokens": FOLDER / "all"}
    _prepare(variants["masked"], keys)
    shutil.rmtree(variants["all tokens"], ignore_errors=True)
    shutil.copytree(variants["masked"], variants["all tokens"])
    _train_everything(variants["all tokens"])
    print(f"spin loop before: {spin_loop():.0f} ms")
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for turn in range(options.rounds):
        for variant, folder in variants.items():
            for kind, name in KINDS.items():
                run = _run(kind, folder, keys)
                found.setdefault((variant, kind), []).append(run)
                print(f"round {turn + 1}, {variant}, {name}: {_speed(run):,.0f} tokens/s", flush=True)
    print(f"spin loop after: {spin_loop():.0f} ms\n")
    figures = _figures(found)
    print(*figures, sep="\n")
    print("\nlosses of steps 1, 10, 20, … (masked)")
    for kind in ("ours", "trainer"):
        losses = found["masked", kind][0]["losses"]
        print(f"  {KINDS[kind]:<16}", *(f"{losses[at]:.4f}" for at in (0, *range(9, len(losses), 10))))
    keep(figures, FOLDER / "trainers.json")
    return 0


def _prepare(folder: Path, keys: list[str]) -> None:
    """Packed data, tokenizer and first weights in `folder`."""
    from training import config, launch, model, vocabulary
    from training.encoding import Vocabulary

    shutil.rmtree(folder, ignore_errors=True)
    recipe = config.load("tiny", [*keys, f"output={folder}"])
    launch.ready(recipe)
    rows = vocabulary.rows(Vocabulary(vocabulary.load(folder / "tokenizer")))
    first: Any = model.build(recipe, rows, {})
    first.save_pretrained(folder / "first")


def _train_everything(folder: Path) -> None:
    import numpy as np

    path = folder / "data" / "train" / "trained.npy"
    np.save(path, np.ones_like(np.load(path)))


def _run(kind: str, folder: Path, keys: list[str]) -> dict[str, Any]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--module"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "DEEPSPEED_LOG_LEVEL": "error",
        "GLOO_SOCKET_IFNAME": "lo",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [*launcher, RANKS, kind, str(folder), *keys, f"output={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3600, check=False)
    if done.returncode:
        sys.exit(f"{KINDS[kind]} failed:\n{done.stderr[:4000]}")
    found: dict[str, Any] = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
    return found


def _speed(run: dict[str, Any]) -> float:
    """Content tokens a second of both ranks, after the first steps."""
    return 2 * sum(run["tokens"][WARM_UP:]) / sum(run["seconds"][WARM_UP:])


def _figures(found: dict[tuple[str, str], list[dict[str, Any]]]) -> list[Figure]:
    figures = []
    for (variant, kind), runs in found.items():
        goal = Goal(f"{KINDS[kind]}, {variant}", None, "tok/s", at_most=False)
        figures.append(median(goal, [_speed(run) for run in runs]))
    for variant in dict.fromkeys(variant for variant, _ in found):
        for kind in ("trainer", "crossing", "sft"):
            pairs = zip(found[variant, "ours"], found[variant, kind], strict=True)
            target = 1.5 if variant == "masked" and kind != "crossing" else None
            goal = Goal(f"ours over {KINDS[kind]}, {variant}", target, "x", at_most=False)
            figures.append(median(goal, [_speed(ours) / _speed(theirs) for ours, theirs in pairs]))
    gap = statistics.mean(
        abs(one - other) / one
        for one, other in zip(found["masked", "ours"][0]["losses"], found["masked", "trainer"][0]["losses"], strict=False)
    )
    figures.append(Figure(Goal("mean relative difference of the losses, HF Trainer", 0.001, ""), gap, 1, (gap, gap)))
    return figures


if __name__ == "__main__":
    sys.exit(main())
