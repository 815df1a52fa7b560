"""The command line: `python -m training [RECIPE] [key=value ...] [--plan | --dry-run] [--json]`."""

from __future__ import annotations

import sys

from training.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
