"""`fix --check`: its options, its plan, and what a change that the check does not accept needs to be made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import UsageError

if TYPE_CHECKING:
    from assistant.check import Checked, Plan

SAMPLES = 4
SECONDS = 60.0
MOST_SAMPLES = 64


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """How a fix is checked before it is offered."""
    group = parser.add_argument_group("check")
    group.add_argument(
        "--check",
        metavar="COMMAND",
        help="try candidates on a copy of the project, in a sandbox, until this command succeeds; `doctest` tries the examples"
        " in the docstrings",
    )
    group.add_argument("--samples", type=_samples, metavar="N", help=f"candidates at most ({SAMPLES})")
    group.add_argument("--check-seconds", type=_seconds, metavar="S", help=f"the longest run of the check ({SECONDS:.0f})")
    group.add_argument("--unsandboxed", action="store_true", help="run the check without the sandbox")
    group.add_argument("--unverified", action="store_true", help="make the change even if the check does not pass")


def plan_of(options: argparse.Namespace, path: Path) -> Plan | None:
    """The plan that the options ask for, None without `--check`.

    Raises:
        UsageError: an option of a check without one, or an empty check.
    """
    line: str | None = getattr(options, "check", None)
    if line is None:
        for name in ("samples", "check_seconds", "unsandboxed", "unverified"):
            if getattr(options, name, None):
                raise UsageError(
                    f"--{name.replace('_', '-')} belongs to --check.", "Say what to check with: --check 'pytest -q'."
                )
        return None
    if not line.strip():
        raise UsageError("The check is empty.", "Give a command: --check 'pytest -q', or --check doctest.")
    from assistant.check import Plan
    from assistant.project_copy import project_of

    project = project_of(path, Path.cwd())
    return Plan(line.strip(), project, options.samples or SAMPLES, options.check_seconds or SECONDS, not options.unsandboxed)


def outcome_of(checked: Checked | None) -> dict[str, object]:
    """What `--json` says about the check; nothing where there was none."""
    return {} if checked is None else {"verified": checked.verified, "tried": list(checked.tried)}


def agreed_to_unverified(options: argparse.Namespace) -> bool:
    """Whether to make a change that the check does not accept; nothing but the user's own word for it counts."""
    from assistant.cli.terminal import confirm

    if options.unverified:
        return bool(options.write or options.yes)
    if options.write or options.yes or options.json or not sys.stdin.isatty():
        return False
    return confirm("The check does not pass with this change. Make it all the same?", default=False)


def _samples(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_SAMPLES}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86400:  # false for NaN as well
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
