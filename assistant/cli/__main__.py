"""`python -m assistant.cli` does what the `assistant` script does."""

import sys

from assistant.cli import main

sys.exit(main())
