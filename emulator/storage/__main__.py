"""`python -m emulator.storage install --folder DIR`: install Azurite."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emulator.storage.installation import VERSION, InstallationError, install, is_installed


def main() -> int:
    """Install, saying so."""
    parser = argparse.ArgumentParser(prog="python -m emulator.storage", description=__doc__)
    parser.add_argument("command", choices=["install"])
    parser.add_argument("--folder", type=Path, required=True)
    folder: Path = parser.parse_args().folder
    if is_installed(folder):
        print(f"azurite {VERSION} is installed")
        return 0
    print(f"installing azurite {VERSION} into {folder}", flush=True)
    try:
        install(folder, lambda line: print(line, flush=True))
    except InstallationError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"azurite {VERSION} is installed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
