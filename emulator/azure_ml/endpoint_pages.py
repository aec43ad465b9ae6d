"""The management API's pages of online endpoints and their deployments."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.endpoints import Endpoints, own_audience
from emulator.azure_ml.errors import not_found, user_error
from emulator.azure_ml.identity import LIFETIME_SECONDS, Identity
from emulator.azure_ml.listings import paged
from emulator.azure_ml.operations import with_result
from emulator.azure_ml.resources import Resources, read_body, read_object
from emulator.azure_ml.shapes import Deployment, Endpoint, Sku, check_shape
from emulator.azure_ml.slots import tail
from emulator.azure_ml.store import Body

LOG_LINES = 5000


class EndpointPages:
    """Pages of one workspace's endpoints."""

    def __init__(self, resources: Resources, endpoints: Endpoints, identity: Identity) -> None:
        """`endpoints` does what the pages say."""
        self._resources, self._endpoints, self._identity = resources, endpoints, identity
        self._store = resources.store

    def routes(self) -> Sequence[Route]:
        """Routes relative to the workspace."""
        endpoint, slot = "/onlineEndpoints/{name}", "/onlineEndpoints/{name}/deployments/{slot}"
        pages = [
            ("GET", "/onlineEndpoints", self.list_endpoints),
            ("GET", endpoint, self.endpoint),
            ("PUT", endpoint, self.put_endpoint),
            ("DELETE", endpoint, self.delete_endpoint),
            ("POST", f"{endpoint}/listKeys", self.keys),
            ("POST", f"{endpoint}/regenerateKeys", self.new_key),
            ("POST", f"{endpoint}/token", self.token),
            ("GET", f"{endpoint}/deployments", self.deployments),
            ("GET", slot, self.deployment),
            ("PUT", slot, self.put_deployment),
            ("DELETE", slot, self.delete_deployment),
            ("POST", f"{slot}/getLogs", self.logs),
        ]
        scope = self._resources.config.scope
        return [Route(f"{scope}{path}", page, methods=[method]) for method, path, page in pages]

    async def list_endpoints(self, request: Request) -> Response:
        """All endpoints."""
        rows = [(name, _addressed(body)) for name, body in self._store.list("onlineEndpoints")]
        return self._resources.listing(request, "onlineEndpoints", rows)

    async def endpoint(self, request: Request) -> Response:
        """One endpoint."""
        return JSONResponse(_addressed(self._resources.show("onlineEndpoints", request.path_params["name"])))

    async def put_endpoint(self, request: Request) -> Response:
        """Create an endpoint, or change its traffic."""
        name = request.path_params["name"]
        new = self._endpoints.put(name, await read_body(request, Endpoint))
        shown = self._resources.show("onlineEndpoints", name)
        headers = self._resources.begin(request, "onlineEndpoints", name)
        told = {**headers, **self._resources.address(request)}
        state = {"provisioningState": "Creating" if new else "Updating"}  # never ready yet, however fast
        shown = {**shown, "properties": {**shown["properties"], **state}}
        return JSONResponse(_addressed(shown), 201 if new else 200, told)

    async def delete_endpoint(self, request: Request) -> Response:
        """Delete an endpoint."""
        name = request.path_params["name"]
        if self._store.get("onlineEndpoints", name) is None:
            return Response(status_code=204)
        headers = self._resources.begin(request, "onlineEndpoints", name)
        await asyncio.to_thread(self._endpoints.delete, name)
        return JSONResponse(None, 202, with_result(headers))

    async def keys(self, request: Request) -> Response:
        """Both keys."""
        found = self._endpoints.known(request.path_params["name"])["internal"]["keys"]
        return JSONResponse({"primaryKey": found[0], "secondaryKey": found[1]})

    async def new_key(self, request: Request) -> Response:
        """Replace one key."""
        name, asked = request.path_params["name"], await read_object(request)
        self._endpoints.new_key(name, str(asked.get("keyType")), asked.get("keyValue"))
        headers = with_result(self._resources.begin(request, "onlineEndpoints", name))
        return Response(status_code=202, headers=headers)

    async def token(self, request: Request) -> Response:
        """A token of the endpoint's own, to be renewed after half of its time."""
        name = request.path_params["name"]
        mode = self._endpoints.known(name)["properties"]["authMode"]
        if mode != "AMLToken":
            raise user_error(f"Endpoint {name} gives no tokens of its own: it takes {mode}")
        token, ends = self._identity.token(own_audience(name))
        times = {"expiryTimeUtc": ends, "refreshAfterTimeUtc": ends - LIFETIME_SECONDS // 2}
        return JSONResponse({"accessToken": token, "tokenType": "Bearer", **times})

    async def deployments(self, request: Request) -> Response:
        """An endpoint's deployments."""
        self._endpoints.known(request.path_params["name"])
        found = self._endpoints.deployments(request.path_params["name"])
        shown = [self._deployment(k, b) for k, b in found]
        return paged(request, shown, self._resources.config.base_url)

    def _deployment(self, key: str, body: Body) -> Body:
        return self._resources.envelope(f"onlineEndpoints/{key}", body)

    async def deployment(self, request: Request) -> Response:
        """One deployment."""
        key = _deployment_key(request)
        body = self._store.get("deployments", key)
        if body is None:
            raise not_found(f"Deployment {key}")
        return JSONResponse(self._deployment(key, body))

    async def put_deployment(self, request: Request) -> Response:
        """Begin to create a deployment."""
        key = _deployment_key(request)
        body = await read_body(request, Deployment)
        check_shape(body.get("sku") or {}, Sku, "sku")
        new = self._endpoints.put_deployment(*_endpoint_and_slot(request), body)
        headers = self._resources.begin(request, "deployments", key)
        shown = self._deployment(key, self._store.get("deployments", key) or {})
        return JSONResponse(shown, 201 if new else 200, {**headers, **self._resources.address(request)})

    async def delete_deployment(self, request: Request) -> Response:
        """Delete a deployment that has no traffic."""
        if self._store.get("deployments", _deployment_key(request)) is None:
            return Response(status_code=204)
        headers = self._resources.begin(request, "deployments", _deployment_key(request))
        await asyncio.to_thread(self._endpoints.delete_deployment, *_endpoint_and_slot(request))
        return JSONResponse(None, 202, with_result(headers))

    async def logs(self, request: Request) -> Response:
        """The end of a deployment's log."""
        lines = (await read_object(request)).get("tail")
        text = tail(self._endpoints.slots.log(_deployment_key(request)), lines if isinstance(lines, int) else LOG_LINES)
        return JSONResponse({"content": text})


def _addressed(shown: Body) -> Body:
    """An endpoint, which has no addresses before it is made."""
    if shown["properties"]["provisioningState"] != "Creating":
        return shown
    return {**shown, "properties": {**shown["properties"], "scoringUri": None, "swaggerUri": None}}


def _endpoint_and_slot(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params["slot"]


def _deployment_key(request: Request) -> str:
    return "{}/deployments/{}".format(*_endpoint_and_slot(request))
