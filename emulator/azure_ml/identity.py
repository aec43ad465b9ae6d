"""The local managed identity: tokens that Azurite's basic OAuth and this emulator accept, and nobody else.

Contract: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

from emulator.azure_ml.errors import AzureError

ISSUER = "https://sts.windows.net/00000000-0000-0000-0000-00000000000a/"
LIFETIME_SECONDS = 24 * 3600


class Identity:
    """Issues and checks tokens signed with a secret of this cloud."""

    def __init__(self, secret: str) -> None:
        """`secret` is also what X-IDENTITY-HEADER must carry."""
        self._secret = secret.encode()

    def issue(self, resource: str, header: str | None) -> dict[str, str]:
        """Answer a managed-identity request.

        Raises:
            AzureError: the header is not the secret, or no resource was named.
        """
        if not hmac.compare_digest((header or "").encode(), self._secret):
            raise AzureError(401, "Unauthorized", "X-IDENTITY-HEADER is not this process' secret")
        if not resource:
            raise AzureError(400, "BadRequest", "The query names no resource")
        token, ends = self.token(resource.removesuffix("/.default").rstrip("/"))
        return {
            "access_token": token,
            "expires_on": str(ends),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": "00000000-0000-0000-0000-00000000000b",
        }

    def token(self, audience: str) -> tuple[str, int]:
        """A token for an audience, and the second in which it ends."""
        now = int(time.time())
        ends = now + LIFETIME_SECONDS
        claims = {"aud": audience, "iss": ISSUER, "iat": now, "nbf": now - 60, "exp": ends}
        body = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{body}.{self._sign(body)}", ends

    def check(self, authorization: str | None, audiences: tuple[str, ...]) -> None:
        """See that a request carries a token of ours for one of these audiences.

        Raises:
            AzureError: 401 where it does not.
        """
        kind, _, token = (authorization or "").partition(" ")
        body, _, signature = token.rpartition(".")
        if kind.lower() != "bearer" or not hmac.compare_digest(self._sign(body).encode(), signature.encode()):
            raise AzureError(401, "AuthenticationFailed", "Authentication failed: the bearer token is missing or wrong")
        claims = json.loads(base64.urlsafe_b64decode(body.partition(".")[2] + "=="))
        if claims["exp"] < time.time():
            raise AzureError(401, "ExpiredAuthenticationToken", "The token has expired")
        if claims["aud"] not in audiences:
            raise AzureError(401, "InvalidAuthenticationTokenAudience", f"The token is for {claims['aud']}")

    def _sign(self, body: str) -> str:
        return _text(hmac.digest(self._secret, body.encode(), hashlib.sha256))


def _encode(value: object) -> str:
    return _text(json.dumps(value).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
