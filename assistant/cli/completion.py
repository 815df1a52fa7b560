"""`assistant completion SHELL`: print a script that makes the shell complete commands, options and names at the Tab key."""

from __future__ import annotations

import argparse
import sys

_SHELLS = ("bash", "zsh", "fish")
_WHERE = """\
put it where your shell reads it:
  bash   assistant completion bash > ~/.local/share/bash-completion/completions/assistant
  zsh    eval "$(assistant completion zsh)"      in ~/.zshrc, after compinit
  fish   assistant completion fish > ~/.config/fish/completions/assistant.fish
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "completion",
        help="print a script for completion in the shell",
        description=__doc__,
        epilog=_WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell that is to complete")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    from argcomplete.shell_integration import shellcode

    sys.stdout.write(shellcode(["assistant"], shell=options.shell))
    return 0


def answer_the_shell(parser: argparse.ArgumentParser) -> None:
    """Say what may come next and end the process; called where the shell asks, by the environment variable `_ARGCOMPLETE`."""
    import argcomplete

    argcomplete.autocomplete(parser, always_complete_options=False)
