"""`python -m clr_cli` is the command `clr`."""

from __future__ import annotations

import sys

from clr_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
