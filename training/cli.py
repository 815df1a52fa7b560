"""What `python -m training` understands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from assistant.errors import AssistantError, UsageError
from training import config

USAGE = """\
python -m training RECIPE [key=value ...]            train, and leave a model in runs/RECIPE/model
python -m training RECIPE --plan [--json] [key=...]  say what it would take, before anything is loaded
python -m training RECIPE --dry-run [key=value ...]  two steps and an export, to see that the whole road is open
python -m training inspect RECIPE --rows N           show dialogues as the model will see them
python -m training keys [KEY ...]                    every key of a recipe, or some, and what they mean
"""
# The flags of each kind of command: one that would change nothing is refused, as a typing mistake would be.
FLAGS = {
    "": ("--help",),
    "keys": ("--help",),
    "inspect": ("--rows", "--help"),
    "a recipe": ("--plan", "--json", "--dry-run", "--help"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code, and prints an error as one line with its remedy."""
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except AssistantError as error:
        _complain(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        _complain(f"The package {error.name} is missing. Install the extra: pip install -e '.[train]'")
        return UsageError.exit_code
    except KeyboardInterrupt:
        _complain("The run was stopped. The same command goes on from the newest checkpoint.")
        return 130


def _complain(sentence: str) -> None:
    # On a terminal, the progress line makes room.
    begin = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{begin}training: {sentence}\n")


def _dispatch(arguments: list[str]) -> int:
    flags, words = _sorted(arguments)
    if "--help" in flags:
        sys.stdout.write(_explanation())
        return 0
    if not words:
        return _explain()
    if words[0] == "keys":
        return _keys(words[1:])
    if words[0] == "inspect":
        from training import inspection

        if len(words) < 2:
            raise UsageError("inspect needs a recipe.", f"Use one of {', '.join(config.names())}.")
        return inspection.show(config.load(words[1], words[2:]), int(flags.get("--rows", "3")))
    recipe = config.load(words[0], words[1:])
    if "--plan" in flags:
        return _plan(recipe, as_json="--json" in flags)
    from training import launch

    trial = "--dry-run" in flags
    launch.run(dry(recipe) if trial else recipe, trial=trial)
    return 0


def dry(recipe: config.Recipe) -> config.Recipe:
    """The recipe cut to two steps on a few dialogues, in a folder of its own."""
    from dataclasses import replace

    whole = recipe.folder if recipe.folder.name.strip(".") else recipe.folder.resolve()
    folder = str(whole.parent / f"{whole.name}-dry-run")
    few = max(64, 2 * recipe.global_batch)
    # The few are seen as often as two steps need.
    short = replace(recipe, max_steps=2, epochs=1e6, max_dialogues=few, max_eval_dialogues=8)
    return replace(short, output=folder, push="")


def _sorted(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Flags with their values, and everything else in order; flags that the command does not know are refused."""
    flags: dict[str, str] = {}
    words: list[str] = []
    while arguments:
        one = arguments.pop(0)
        name, equals, value = one.partition("=")
        if name == "--rows":
            flags[name] = value if equals else (arguments.pop(0) if arguments else "")
            if not flags[name].isdecimal() or not int(flags[name]):
                raise UsageError(f"--rows is {flags[name]!r}.", "It must be a whole number of at least 1.")
        elif one.startswith("-"):
            flags["--help" if one == "-h" else one] = ""
        else:
            words.append(one)
    _fitting(flags, words)
    return flags, words


def _fitting(flags: dict[str, str], words: list[str]) -> None:
    command = words[0] if words and words[0] in FLAGS else "a recipe" if words else ""
    known = FLAGS[command]
    for flag in flags:
        if flag not in known:
            what = f"with {command}" if command else "without a recipe"
            raise UsageError(
                f"The flag {flag} is unknown {what}.", f"Known there: {', '.join(known)}; keys are written key=value."
            )
    if "--plan" in flags and "--dry-run" in flags:
        raise UsageError("--plan and --dry-run exclude each other.", "A plan runs nothing; a dry run takes two steps.")
    if "--json" in flags and "--plan" not in flags:
        raise UsageError("--json belongs to --plan.", "Add --plan; a run writes its numbers to report.json.")


def _explanation() -> str:
    lines = ["Fine-tunes a StarChat on dialogues, with DeepSpeed ZeRO-3, on one machine or many.", "", USAGE, "Recipes:"]
    lines += [f"  {name:<16}{config.load(name).about}" for name in config.names()]
    return "\n".join([*lines, ""])


def _explain() -> int:
    from training import plan

    sys.stdout.write(f"{_explanation()}\nOn this machine, starchat-alpha would take:\n\n")
    sys.stdout.write(plan.text(plan.make(config.load("starchat-alpha"))))
    return 0


def _plan(recipe: config.Recipe, *, as_json: bool) -> int:
    from training import plan

    made = plan.make(recipe)
    sys.stdout.write(json.dumps(plan.numbers(made), indent=2) + "\n" if as_json else plan.text(made))
    return 0


def _keys(wanted: list[str]) -> int:
    """Print the keys that were asked for, or all."""
    known = config.describe()
    for key in wanted:
        if key not in known:
            raise UsageError(f"There is no key {key!r}.", "`python -m training keys` lists them all.")
    for key, (kind, text) in ((key, known[key]) for key in wanted or known):
        sys.stdout.write(f"{key} ({kind})\n    {text}\n")
    return 0
