"""`assistant plot "…"`: a script that draws, and with `--run` the picture."""

from __future__ import annotations

import argparse

from assistant.cli.options import add_model_options, add_output_options


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("plot", help="draw a figure", description=__doc__)
    parser.add_argument("question", metavar="QUESTION", help="what to draw")
    parser.add_argument("--data", metavar="F.csv", help="a CSV file with a header; the model sees its columns and first rows")
    parser.add_argument(
        "--run", dest="runs", action="store_true", help="run the script in a sandbox and save the picture; asks first"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the picture (F.png, with --run) or the script (F.py)")
    parser.add_argument("--unsandboxed", action="store_true", help="run the script without the sandbox")
    add_output_options(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the script, and run it where the user agrees; returns the exit code."""
    from assistant.cli.drawing import draw

    return draw(options)
