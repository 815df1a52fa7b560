"""`assistant doctor`: what this machine has, which model was chosen and why; the network is not touched."""

from __future__ import annotations

import argparse
from itertools import chain

from assistant.cli.options import add_model_options, settings_from
from assistant.errors import AssistantError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="say what runs here and why", description=__doc__)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the findings; the exit code is that of the first thing that keeps a model from running, else 0."""
    from assistant.cli.findings import model_findings, surroundings
    from assistant.models.hardware import probe

    hardware = probe()
    try:
        for title, value in chain(surroundings(hardware), model_findings(settings_from(options), hardware)):
            print(f"{title:<16} {value}")
    except AssistantError as error:
        print(f"{'problem':<16} {error}")
        return error.exit_code
    return 0
