"""What a run would take, before anything is loaded: memory, disk, steps, time and money.

Arithmetic on the shape of the model, by the formulas of ZeRO (Rajbhandari et al., 2020) as DeepSpeed carries them out; times
rest on an assumed utilisation and say so.  Memory is in GiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from assistant.errors import UsageError
from training.config import Recipe
from training.estimates import tokens_of
from training.machine import GIB, Machine, describe, disk_free_gib, is_imagined
from training.schedule import plan as course
from training.shapes import Shape, flops_per_token, shape
from training.zero_config import SUB_GROUP, accumulation

# Shares of the peak that runs of this size reach; published: 32 % (StarChat-alpha), best 59.5 % on A100 and 44 % on H100.
_MFU = {"A100": 0.45, "H100": 0.38, "H200": 0.38}
_MFU_ELSE = 0.35
# What one CPU rank of a desktop reaches, in TFLOPS.
_CPU_TFLOPS = 0.03
# Context, kernels and fragmentation that no formula sees.
_OVERHEAD_GIB, _FRAGMENTATION = 1.5, 1.05
# Of a CPU rank: the libraries, and what malloc keeps (docs/journal.md compares with what ranks took).
_CPU_OVERHEAD_GIB, _CPU_FRAGMENTATION = 0.45, 1.2
_PACKING = 0.99


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe takes on a machine; None where it cannot be told.

    parts: GPU memory of one rank by purpose.  host_gib: of one host.  checkpoint_gib: of one checkpoint.
    traffic_gib: what each rank sends and receives for one optimiser step.
    """

    recipe: Recipe
    machine: Machine
    parameters: int
    trained: int
    parts: dict[str, float]
    host_gib: float
    checkpoint_gib: float
    disk_gib: float
    accumulation: int
    tokens: int | None
    steps: int | None
    minutes: float | None
    traffic_gib: float
    problems: tuple[str, ...]

    @property
    def gpu_gib_per_rank(self) -> float:
        """Memory of one rank, in GiB."""
        return sum(self.parts.values())

    @property
    def dollars(self) -> float | None:
        """What renting the machine costs for the run, roughly."""
        hourly = self.machine.count * self.machine.dollars_per_hour
        return self.minutes / 60 * hourly if self.minutes is not None and hourly else None

    @property
    def fits(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems


def make(recipe: Recipe) -> Plan:
    """The plan of a recipe on the machine that its key `gpus` finds or describes.

    Raises:
        ModelError: the base's shape is not known here and cannot be had.
        UsageError: the key `gpus` is not understood.
    """
    machine = describe(recipe.gpus)
    machine = replace(machine, count=machine.count * recipe.nodes)
    found = shape(recipe)
    plan = _plan(recipe, machine, found)
    return replace(plan, problems=tuple(_problems(plan, found)))


def numbers(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    left_out = {"recipe", "machine", "problems", "parts"}
    plain = {key: value for key, value in asdict(plan).items() if key not in left_out}
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in plain.items()}
    return rounded | {
        "recipe": plan.recipe.name,
        "machine": str(plan.machine),
        "ranks": plan.machine.count,
        "gpu_gib_per_rank": round(plan.gpu_gib_per_rank, 3),
        "gpu_parts_gib": {key: round(value, 3) for key, value in plan.parts.items()},
        "dollars": None if plan.dollars is None else round(plan.dollars, 2),
        "fits": plan.fits,
        "problems": list(plan.problems),
    }


def amount(gib: float) -> str:
    """An amount of memory or disk with its unit."""
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * 1024:.1f} MiB"


def text(plan: Plan) -> str:
    """The plan for people."""
    recipe, machine = plan.recipe, plan.machine
    lines = [
        f"{recipe.name}: {recipe.base or 'a new model'}, {plan.parameters:,} parameters, {plan.trained:,} trained, on {machine}"
    ]
    lines.append(f"  memory of a rank    {plan.gpu_gib_per_rank:8.1f} GiB")
    lines += [f"    {name:<18}{value:8.1f}" for name, value in plan.parts.items() if value >= 0.05]
    lines.append(f"  memory of a host    {plan.host_gib:8.1f} GiB")
    lines.append(f"  one checkpoint      {amount(plan.checkpoint_gib):>12}, {amount(plan.disk_gib)} of disk in all")
    batch = f"{recipe.global_batch} blocks = {machine.count} ranks x {recipe.micro_batch} x {plan.accumulation}"
    lines.append(f"  a step              {batch}; {plan.traffic_gib:.0f} GiB of traffic a rank")
    if plan.steps is None or plan.tokens is None or plan.minutes is None:
        lines.append("  steps and time      not known before the data is read")
    else:
        cost = f", about {plan.dollars:,.0f} dollars" if plan.dollars is not None else ""
        lines.append(f"  steps               {plan.steps:8,} ({plan.tokens / 1e6:,.1f} M tokens, estimated from the data)")
        speed = f"{_CPU_TFLOPS} TFLOPS a rank" if machine.is_cpu else f"{_utilisation(machine):.0%} of the peak"
        lines.append(f"  time                {plan.minutes:8,.0f} minutes at {speed}{cost}")
    spare = machine.memory_gib - plan.gpu_gib_per_rank
    fits = "It fits." if machine.is_cpu else f"It fits, with {spare:.1f} GiB of each GPU to spare."
    lines += [f"  ! {problem}" for problem in plan.problems] or [f"  {fits}"]
    return "\n".join(lines) + "\n"


def _plan(recipe: Recipe, machine: Machine, found: Shape) -> Plan:
    trained = _trained(recipe, found)
    tokens = tokens_of(recipe)
    schedule = course(recipe, max(1, round(tokens / _PACKING / recipe.block))) if tokens else None
    steps = schedule.steps if schedule else recipe.max_steps or None
    seen = schedule.total * recipe.block if schedule else (recipe.max_steps * recipe.global_batch * recipe.block or None)
    traffic = 3 * 2 * found.parameters * _accumulation(recipe, machine) * (machine.count - 1) / machine.count / GIB
    checkpoint = 12 * trained / GIB
    exported = 2 * found.parameters / GIB
    return Plan(
        recipe=recipe,
        machine=machine,
        parameters=found.parameters,
        trained=trained,
        parts=_memory(recipe, machine, found, trained),
        host_gib=_host(recipe, machine, found, trained),
        checkpoint_gib=checkpoint,
        disk_gib=checkpoint * (recipe.keep + 1) + 2 * exported,
        accumulation=_accumulation(recipe, machine),
        tokens=seen,
        steps=steps,
        minutes=None if seen is None else _minutes(seen, recipe, machine, found),
        traffic_gib=traffic,
        problems=(),
    )


def _trained(recipe: Recipe, found: Shape) -> int:
    if recipe.adapter == "none":
        return found.parameters
    return found.inputs_and_outputs * recipe.lora_rank + found.embedding


def _memory(recipe: Recipe, machine: Machine, found: Shape, trained: int) -> dict[str, float]:
    if machine.is_cpu:  # where what is offloaded stays in the same memory
        recipe = replace(recipe, offload="none")
    number = 2 if recipe.dtype == "bfloat16" else 4
    ranks = machine.count
    tokens = recipe.micro_batch * recipe.block
    held = number * found.parameters if recipe.adapter != "qlora" else 0.56 * found.linear + number * found.embedding
    # A layer in bfloat16 keeps about 34 bytes a token and unit of width (Korthikanti et al., 2022), attention's square aside.
    layer = 17 * number * tokens * found.width + recipe.micro_batch * recipe.block**2
    kept = number * tokens * found.width if recipe.checkpointing else 17 * number * tokens * found.width
    head = found.rows * found.width
    # On a CPU what is allocated and never touched takes no memory.
    bucket = min(50_000_000, found.parameters) if machine.is_cpu else 50_000_000
    bytes_ = {
        "weights": held / ranks if recipe.offload != "all" else 0,
        "gradients": number * trained / ranks if recipe.offload == "none" else 0,
        "optimiser": 12 * trained / ranks + 4 * min(SUB_GROUP, trained / ranks) if recipe.offload == "none" else 0,
        "gathered layers": number * (2 * found.layer + head) if ranks > 1 or recipe.offload == "all" else 0,
        "buckets": number * 3 * bucket if ranks > 1 else 0,
        "activations": found.layers * kept + layer,
        "loss": 10 * min(recipe.loss_chunk, tokens) * found.rows + (4 + number) * head,
    }
    fragmentation = _CPU_FRAGMENTATION if machine.is_cpu else _FRAGMENTATION
    parts = {name: value * fragmentation / GIB for name, value in bytes_.items()}
    return parts | {"context": _CPU_OVERHEAD_GIB if machine.is_cpu else _OVERHEAD_GIB}


def _host(recipe: Recipe, machine: Machine, found: Shape, trained: int) -> float:
    """Of one host: what is offloaded, and the largest passing need (a checkpoint's copies, or the export beside its reload)."""
    share = 1 / recipe.nodes
    offloaded = (16 * trained if recipe.offload != "none" else 0) + (2 * found.parameters if recipe.offload == "all" else 0)
    passing = max(4 * trained * share, 2 * 2 * found.parameters)
    if machine.is_cpu:
        ranks = sum(_memory(recipe, machine, found, trained).values()) * machine.count
        return ranks * share + passing / GIB + _CPU_OVERHEAD_GIB
    return (offloaded * share + passing) / GIB + 2.0 * machine.count * share


def _accumulation(recipe: Recipe, machine: Machine) -> int:
    return max(1, -(-recipe.global_batch // (recipe.micro_batch * machine.count)))


def _utilisation(machine: Machine) -> float:
    return next((share for name, share in _MFU.items() if name in machine.device), _MFU_ELSE) if not machine.is_cpu else 1.0


def _minutes(tokens: int, recipe: Recipe, machine: Machine, found: Shape) -> float:
    peak = (machine.peak_tflops or _CPU_TFLOPS) * _utilisation(machine) * 1e12 * machine.count
    return tokens * flops_per_token(found, adapter=recipe.adapter != "none") / peak / 60


def _problems(plan: Plan, found: Shape) -> Iterator[str]:
    recipe, machine = plan.recipe, plan.machine
    try:
        accumulation(recipe, machine.count)
    except UsageError as error:
        yield str(error)
    if not machine.is_cpu and plan.gpu_gib_per_rank > machine.memory_gib:
        way = _way_out(recipe, machine, found)
        yield f"A rank needs {plan.gpu_gib_per_rank:.1f} GiB, a GPU has {machine.memory_gib:.0f}. {way}"
    if machine.host_gib and plan.host_gib > machine.host_gib:
        asked = f"A host needs {plan.host_gib:.0f} GiB of memory, this one has {machine.host_gib:.0f}."
        yield f"{asked} Use a smaller model or adapter=lora."
    if not is_imagined(recipe.gpus) and plan.disk_gib > disk_free_gib(recipe.folder):
        free = disk_free_gib(recipe.folder)
        yield f"{amount(plan.disk_gib)} of disk are needed, {amount(free)} are free. Use keep=1 or another output folder."
    if recipe.block > found.positions:
        yield f"block={recipe.block}, but the model reads {found.positions} tokens. Use block={found.positions}."


def _way_out(recipe: Recipe, machine: Machine, found: Shape) -> str:
    """The mildest change of keys that makes it fit: less at a time, then host memory, then an adapter."""
    sizes = [
        recipe.micro_batch,
        *(size for size in (8, 4, 2, 1) if size < recipe.micro_batch and recipe.global_batch % (size * machine.count) == 0),
    ]
    ways: list[dict[str, Any]] = [{}]
    ways += [{"offload": "optimizer"}, {"offload": "all"}] if recipe.adapter != "qlora" else []
    ways += [{"adapter": name, "offload": "none"} for name in ("lora", "qlora")] if recipe.base else []
    for change in ({"checkpointing": True, "micro_batch": size} | way for way in ways for size in sizes):
        tried = replace(recipe, **change)
        trained = _trained(tried, found)
        if sum(_memory(tried, machine, found, trained).values()) <= machine.memory_gib:
            keys = " ".join(f"{key}={value}".lower() for key, value in change.items() if getattr(recipe, key) != value)
            host = (
                f", and {_host(tried, machine, found, trained):.0f} GiB of memory of a host" if tried.offload != "none" else ""
            )
            return f"It fits with {keys}{host}."
    return "No key makes it fit: more or larger GPUs are needed."
