"""Print docs/training-plans.md: what starchat-alpha takes, on paper.

`python docs/training_plans.py >docs/training-plans.md`, or `make docs`; a test compares the page with what this says today.
"""

from __future__ import annotations

from training import config, plan
from training.plan import Plan
from training.shapes import Shape, shape

RECIPE = "starchat-alpha"
MACHINES = ("8xA100-80GB", "8xH100-80GB")
# Of one GPU to the others in one direction, in GB/s: NVLink by the maker's data sheets.
NVLINK = {"A100-80GB": 300, "H100-80GB": 450}
# The published run: steps, and seconds on 8 x A100.  Best published utilisation for a model of this size, by GPU.
STEPS, SECONDS = 195, 3089
BEST = {"A100-80GB": 0.595, "H100-80GB": 0.44}

HEAD = """\
# What starchat-alpha takes, on paper

Made by `make docs` (`docs/training_plans.py`) from the formulas behind `--plan`; a test compares this page with what they say
today. None of it was measured.

"""
PUBLISHED = """
**The published run** saw {tokens:.1f} M tokens in {steps} steps. With attention counted as PaLM's authors do, a token takes
{flops:.1f} GFLOPs, so that {seconds:,} s on 8 x A100 ({minutes:.0f} minutes) were {share:.0%} of the peak. The last row is the
same work at the best utilisation that others have published for a model of this size. Our plan
assumes less, leaves attention out, and has {ours} steps, because whole dialogues fill
blocks to 99 % where the published run cut them anywhere.

**Why a micro-batch of 16, and no accumulation**: each micro-batch moves the weights three times (gathered forward, gathered
backward, gradients scattered), whatever its size.

"""


def page() -> str:
    """The whole page."""
    plans = [plan.make(config.load(RECIPE, [f"gpus={machine}"])) for machine in MACHINES]
    shown = [f"\n```\n$ python -m training {RECIPE} --plan gpus={one.recipe.gpus}\n{plan.text(one)}```\n" for one in plans]
    return HEAD + compared(plans) + published(plans[0]) + batches() + "".join(shown)


def compared(plans: list[Plan]) -> str:
    """The machines side by side."""
    names = [one.machine.device for one in plans]
    best = [seconds_at(BEST[one.machine.device], one) / 60 for one in plans]
    rows = [
        ["", *(f"{one.machine.count} x {one.machine.device}" for one in plans)],
        ["---"] * (len(plans) + 1),
        ["memory of a rank", *(f"{one.gpu_gib_per_rank:.1f} of {one.machine.memory_gib:.0f} GiB" for one in plans)],
        ["micro-batch x accumulation", *(f"{one.recipe.micro_batch} x {one.accumulation}" for one in plans)],
        ["traffic of a rank in a step", *(f"{one.traffic_gib:.0f} GiB" for one in plans)],
        ["the same over NVLink", *(f"{wire(one):.2f} s of {step(one):.1f} s" for one in plans)],
        ["minutes by the plan", *(f"{one.minutes:.0f}" for one in plans)],
        ["minutes as published", f"{SECONDS / 60:.0f}", "not published"],
        ["minutes at the best", *(f"{m:.0f} ({BEST[name]:.1%} of the peak)" for m, name in zip(best, names, strict=True))],
    ]
    return table(rows)


def published(made: Plan) -> str:
    """How the published time and the best possible ones were found."""
    return PUBLISHED.format(
        tokens=tokens(made) / 1e6,
        steps=STEPS,
        flops=flops(made, shape(made.recipe)) / 1e9,
        seconds=SECONDS,
        minutes=SECONDS / 60,
        share=seconds_at(1, made) / SECONDS,
        ours=made.steps,
    )


def batches() -> str:
    """Memory against traffic, by the micro-batch."""
    rows = [["micro-batch x accumulation", "memory of a rank", "traffic of a rank in a step", "over NVLink"], ["---"] * 4]
    for size in (16, 8, 4, 2, 1):
        one = plan.make(config.load(RECIPE, [f"gpus={MACHINES[0]}", f"micro_batch={size}"]))
        traffic = [f"{one.traffic_gib:,.0f} GiB", f"{wire(one):.2f} s"]
        rows.append([f"{size} x {one.accumulation}", f"{one.gpu_gib_per_rank:.1f} GiB", *traffic])
    return table(rows)


def table(rows: list[list[str]]) -> str:
    """Rows of a Markdown table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def wire(made: Plan) -> float:
    """Seconds that a step's traffic takes where nothing hides it."""
    return made.traffic_gib * 2**30 / (NVLINK[made.machine.device] * 1e9)


def step(made: Plan) -> float:
    """Seconds of a step by the plan."""
    assert made.minutes is not None and made.steps
    return made.minutes * 60 / made.steps


def seconds_at(share: float, made: Plan) -> float:
    """Seconds of the published run on a machine that reaches `share` of its peak."""
    peak = made.machine.count * made.machine.peak_tflops * 1e12
    return tokens(made) * flops(made, shape(made.recipe)) / (peak * share)


def tokens(made: Plan) -> int:
    """Tokens of the published run."""
    return STEPS * made.recipe.global_batch * made.recipe.block


def flops(made: Plan, found: Shape) -> float:
    """Floating-point operations of a token: 6 N + 12 L H Q T (Chowdhery et al., PaLM, 2022, appendix B)."""
    return 6.0 * found.parameters + 12.0 * found.layers * found.width * made.recipe.block


if __name__ == "__main__":
    print(page(), end="")
