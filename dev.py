"""Everything one does with Visionloop on a laptop: `python3 dev.py --help`. Needs nothing but Python 3.11 or later."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command; older Pythons get a sentence instead of a syntax error."""
    if sys.version_info < (3, 11):  # noqa: UP036  # this one file is meant to be started by any Python 3
        sys.exit(f"Visionloop needs Python 3.11 or later; this is {sys.version.split()[0]} ({sys.executable}).")
    from devtools.cli import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
