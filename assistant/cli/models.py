"""`assistant models`: which models there are, and which of them lie on this machine."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_verbs

_TEMPLATES = ("auto", "starchat", "chatml", "few-shot")
_VERBS = {
    "list": "Show all models.",
    "show": "Show one model: its files, its licence and what it needs.",
    "pull": "Download a model, verify it and keep it.",
    "add": "Give a model folder or GGUF file of your own a name.",
    "verify": "Compare the files of one model, or of all, with their hashes.",
    "remove": "Delete a downloaded model, or forget a name.",
    "du": "Show how much of the disk each model takes.",
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its own subcommands to the parser."""
    parser = commands.add_parser("models", help="list, download, verify and remove models", description=__doc__)
    verbs = add_verbs(parser, _VERBS, run, required=True)
    for verb in verbs.values():
        verb.add_argument("-y", "--yes", action="store_true", help="answer every question with yes")
    for name in ("list", "show", "du"):
        verbs[name].add_argument("--json", action="store_true", help="print one JSON object")
    for name in ("show", "pull", "remove"):
        verbs[name].add_argument("name", metavar="NAME")
    verbs["verify"].add_argument("name", nargs="?", metavar="NAME")
    _add_pull_options(verbs["pull"])
    _add_add_options(verbs["add"])


def run(options: argparse.Namespace) -> int:
    """Do what the subcommand says; returns the exit code."""
    from assistant.cli import model_verbs

    verbs = {
        "list": model_verbs.list_models,
        "show": model_verbs.show,
        "pull": model_verbs.pull,
        "add": model_verbs.add,
        "verify": model_verbs.verify,
        "remove": model_verbs.remove,
        "du": model_verbs.disk_usage,
    }
    return verbs[options.verb](options)


def _add_pull_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", default="auto", metavar="SOURCE", help="auto, hub, mirror, or a folder that holds the files"
    )


def _add_add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a folder with safetensors, or a GGUF file")
    parser.add_argument("--name", help="the name (default: that of the folder or file)")
    parser.add_argument("--template", choices=_TEMPLATES, default="auto", help="how conversations are written down for it")
