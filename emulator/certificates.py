"""One certificate authority of the local cloud, kept in its folder; nothing else trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority that clients trust, and the server's chain and key."""

    authority: Path
    server: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """The certificates in a folder, made at the first call."""
    found = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not (found.authority.exists() and found.server.exists() and found.key.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="Visionloop local cloud")
        issued = authority.issue_cert("localhost", "127.0.0.1", "::1", "*.blob.localhost")
        issued.private_key_pem.write_to_path(str(found.key))
        found.key.chmod(0o600)
        found.server.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        authority.cert_pem.write_to_path(str(found.authority))
    return found
