"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from assistant.errors import UsageError
from assistant.settings import DTYPES, QUANTIZATIONS, Settings, load


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model answers, and where it runs; each comes before the environment and the settings file."""
    group = parser.add_argument_group("model")
    group.add_argument("-m", "--model", help="a catalogue name, a folder, a GGUF file, a hub id (owner/name) or a URL")
    group.add_argument("--quantization", choices=QUANTIZATIONS, help="how the torch engine holds the weights")
    group.add_argument("--dtype", choices=DTYPES, help="what the torch engine computes in; auto is bfloat16")
    group.add_argument("--device", help="auto, cpu, cuda, cuda:1 or mps")
    group.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server to use instead of a local model")
    group.add_argument("--few-shot", metavar="FILE", help="example dialogues for a base model")
    group.add_argument("-y", "--yes", action="store_true", help="answer every question with yes")
    add_debug(parser)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """How the answer is shown."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print exactly one JSON object")
    group.add_argument("--show-context", action="store_true", help="print what the model is shown, and ask nothing")
    group.add_argument("--no-project", action="store_true", help="do not show the model the project's AGENTS.md")
    add_answer_limits(group)


def add_answer_limits(parser: argparse._ActionsContainer) -> None:
    """How long an answer may be, and how much chance plays in it."""
    parser.add_argument("--max-tokens", type=_positive, metavar="N", help="the longest reply, in tokens")
    parser.add_argument(
        "--temperature", type=_temperature, default=0.0, metavar="T", help="0 to 2; 0, the default, takes the likeliest token"
    )


def add_target(parser: argparse.ArgumentParser, *, reports: bool = False) -> None:
    """The file, or the lines of it, that a command is about; one that takes `reports` finds them in what is piped into it."""
    about = "a file, or its lines A to B; a single line means the function around it"
    if reports:
        more = "; a traceback, test run or compiler's output that is piped in says which, and what is wrong"
        parser.add_argument("target", metavar="FILE[:A-B]", nargs="?", help=about + more)
    else:
        parser.add_argument("target", metavar="FILE[:A-B]", help=about)


def add_change_options(parser: argparse.ArgumentParser) -> None:
    """What becomes of a change that was found."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="make the change without asking")
    how.add_argument("--diff", action="store_true", help="only print the change")


def add_verbs(
    parser: argparse.ArgumentParser, texts: Mapping[str, str], run: Callable[[argparse.Namespace], int], *, required: bool
) -> dict[str, argparse.ArgumentParser]:
    """The subcommands of a command, each with a sentence; `run` finds the one that was chosen in `options.verb`."""
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", required=required)
    for name, text in texts.items():
        verb = verbs.add_parser(name, help=f"{text[0].lower()}{text[1:]}".rstrip("."), description=text)
        add_debug(verb)
        verb.set_defaults(run=run, verb=name)
    return verbs.choices


def add_debug(parser: argparse.ArgumentParser) -> None:
    """`--debug` after the command, too."""
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def settings_from(options: argparse.Namespace) -> Settings:
    """The settings in force, with the command line's own on top.

    Raises:
        SettingsError: the settings file or an environment variable cannot be understood.
    """
    keys = ("model", "quantization", "dtype", "device", "endpoint", "few_shot")
    return load({key: getattr(options, key) for key in keys})


def file_and_lines(argument: str) -> tuple[Path, tuple[int, int] | None]:
    """`FILE`, `FILE:12` or `FILE:10-20` as a path and a range of 1-based lines, both ends included.

    A file whose own name ends like a range is taken as it is.

    Raises:
        UsageError: the range runs backwards or begins before line 1.
    """
    name, colon, span = argument.rpartition(":")
    first, _, last = span.partition("-")
    if not colon or not first.isdecimal() or (last and not last.isdecimal()) or os.path.lexists(argument):
        return Path(argument), None
    lines = (int(first), int(last or first))
    if not 1 <= lines[0] <= lines[1]:
        raise UsageError(
            f"The range {span} of {name} makes no sense.", "Lines count from 1; the first comes first: FILE:10-20."
        )
    return Path(name), lines


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:  # the range of the OpenAI API; false for NaN as well
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 2")
    return value
