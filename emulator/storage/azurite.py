"""The command that runs an installed Azurite: over TLS, with OAuth, ending when its supervisor does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emulator.certificates import Certificates
from emulator.storage.installation import entry_point, node

END_WITH_PARENT = Path(__file__).with_name("end_with_parent.cjs")


@dataclass(frozen=True, slots=True)
class StoragePorts:
    """Loopback ports; the table service is not used, but Azurite starts it too."""

    blob: int
    queue: int
    table: int


def azurite_command(installed: Path, location: Path, ports: StoragePorts, certificates: Certificates) -> list[str]:
    """Node, Azurite and its options; the access log goes to standard output, one line a request.

    Raises:
        InstallationError: Node is missing.
    """
    return [
        *(str(node()), "--require", str(END_WITH_PARENT), str(entry_point(installed))),
        *("--blobPort", str(ports.blob), "--queuePort", str(ports.queue), "--tablePort", str(ports.table)),
        *("--location", str(location)),
        *("--oauth", "basic", "--cert", str(certificates.server), "--key", str(certificates.key)),
        *("--skipApiVersionCheck", "--disableTelemetry"),
    ]
