"""`python -m emulator.azure_ml`: the laptop's Azure ML as a process."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn

from emulator.azure_ml.app import Emulator
from emulator.azure_ml.config import Config
from emulator.azure_ml.connections import CuttableProtocol
from emulator.certificates import certificates
from emulator.lifetime import begin_service
from emulator.state_files import BrokenFile


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m emulator.azure_ml", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where all state is kept")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certs", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    begin_service()
    found = certificates(arguments.certs)
    config = Config.read(arguments.config, arguments.folder.resolve(), f"https://localhost:{arguments.port}")
    try:
        emulator = Emulator(config)
    except BrokenFile as error:
        sys.exit(str(error))
    uvicorn.run(
        emulator.application(),
        host="127.0.0.1",
        port=arguments.port,
        ssl_certfile=str(found.server),
        ssl_keyfile=str(found.key),
        http=CuttableProtocol,
        log_level="warning",
        timeout_graceful_shutdown=2,  # idle TLS connections of pooled clients never answer a goodbye
    )


if __name__ == "__main__":
    main()
