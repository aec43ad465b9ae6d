"""The management API below a workspace: everything but jobs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.endpoints import Endpoints, tail
from emulator.azure_ml.errors import not_found
from emulator.azure_ml.models import Models
from emulator.azure_ml.resources import Resources, check_name, now_text, read_body, read_object
from emulator.azure_ml.runs import Runs
from emulator.azure_ml.shapes import Compute, Data, Datastore, Deployment, Endpoint, Model, Sku, check_shape
from emulator.azure_ml.store import Body

LOG_LINES = 5000
COMPUTE_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,30}[a-zA-Z0-9]")
DATASTORE_NAME = re.compile(r"[a-zA-Z0-9_]{1,255}")
DEFAULT_DATASTORE = "workspaceblobstore"
FLAVORS: Body = {"python_function": {"data": {}}}
"""What Azure ML reads in an MLmodel file; the SDK fails on a model without."""
Page = Callable[[Request], Awaitable[Response]]


class Arm:
    """Pages by resource."""

    def __init__(self, resources: Resources, models: Models, endpoints: Endpoints, runs: Runs) -> None:
        """All of one workspace."""
        self._resources, self._models, self._endpoints, self._runs = resources, models, endpoints, runs
        self._store, self._config = resources.store, resources.config

    def routes(self) -> Sequence[Route]:
        """Routes relative to the workspace."""
        endpoint, slot = "/onlineEndpoints/{name}", "/onlineEndpoints/{name}/deployments/{slot}"
        pages: list[tuple[str, str, Page]] = [
            ("GET", "", self.workspace),
            ("GET", "/datastores", self.datastores),
            ("GET", "/datastores/{name}", self.datastore),
            ("PUT", "/datastores/{name}", self.put_datastore),
            ("POST", "/datastores/{name}/listSecrets", self.secrets),
            ("GET", "/computes", self.computes),
            ("GET", "/computes/{name}", self.compute),
            ("PUT", "/computes/{name}", self.put_compute),
            ("DELETE", "/computes/{name}", self.delete_compute),
            ("POST", "/codes/{name}/versions/{version}/startPendingUpload", self.pending_upload),
            ("PUT", "/data/{name}/versions/{version}", self.put_data),
            ("PUT", "/models/{name}/versions/{version}", self.put_model),
            ("PUT", "/codes/{name}/versions/{version}", self.put_code),
            ("PUT", "/environments/{name}/versions/{version}", self.put_environment),
            ("GET", "/{kind:asset}/{name}/versions", self.versions),
            ("GET", "/{kind:asset}/{name}/versions/{version}", self.version),
            ("GET", "/{kind:asset}/{name}", self.container),
            ("GET", "/onlineEndpoints", self.list_endpoints),
            ("GET", endpoint, self.endpoint),
            ("PUT", endpoint, self.put_endpoint),
            ("DELETE", endpoint, self.delete_endpoint),
            ("POST", f"{endpoint}/listKeys", self.keys),
            ("POST", f"{endpoint}/token", self.token),
            ("GET", f"{endpoint}/deployments", self.deployments),
            ("GET", slot, self.deployment),
            ("PUT", slot, self.put_deployment),
            ("DELETE", slot, self.delete_deployment),
            ("POST", f"{slot}/getLogs", self.logs),
        ]
        return [Route(f"{self._config.scope}{path}", page, methods=[method]) for method, path, page in pages]

    async def workspace(self, _: Request) -> Response:
        """The workspace, with the addresses of its other services."""
        tracking = self._config.base_url.replace("https://", "azureml://")
        properties: Body = {
            "friendlyName": self._config.workspace,
            "discoveryUrl": f"{self._config.base_url}/discovery",
            "mlFlowTrackingUri": f"{tracking}/mlflow/v1.0{self._config.scope}",
            "provisioningState": "Succeeded",
            "workspaceId": "00000000-0000-0000-0000-00000000000c",
            "storageAccount": f"{self._config.scope}/storage",
            "publicNetworkAccess": "Enabled",
        }
        identity = {"type": "SystemAssigned", "principalId": "00000000-0000-0000-0000-00000000000d"}
        shown = {
            "id": self._config.scope,
            "name": self._config.workspace,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": "local",
            "kind": "Default",
            "identity": identity,
            "tags": {},
            "properties": properties,
        }
        return JSONResponse(shown)

    async def datastores(self, request: Request) -> Response:
        """All datastores, or the default one."""
        if request.query_params.get("isDefault") == "true":
            return JSONResponse({"value": [self._resources.show("datastores", DEFAULT_DATASTORE)]})
        return self._resources.listing("datastores")

    async def datastore(self, request: Request) -> Response:
        """One datastore, without its key."""
        return JSONResponse(self._resources.show("datastores", request.path_params["name"]))

    async def put_datastore(self, request: Request) -> Response:
        """Create or change a datastore of this cloud's storage."""
        body, name = await read_body(request, Datastore), request.path_params["name"]
        check_name(name, DATASTORE_NAME)
        new = self._store.get("datastores", name) is None
        account = self._config.datastores[0]
        self.add_datastore({**account, "name": name, "container": str(body["properties"]["containerName"])})
        return JSONResponse(self._resources.show("datastores", name), 201 if new else 200)

    def add_datastore(self, found: dict[str, str]) -> None:
        """A datastore; the odd account name lets the SDK find it without name resolution.

        The SDK builds `https://{account}.blob.{endpoint}` whatever the endpoint says: this name makes that a path.
        """
        address = found["account_url"].removeprefix("https://")
        properties: Body = {
            "datastoreType": "AzureBlob",
            "accountName": f"{address}?",
            "containerName": found["container"],
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentials": {"credentialsType": "AccountKey"},
            "isDefault": found["name"] == DEFAULT_DATASTORE,
            "properties": {},
            "tags": {},
        }
        record = {"properties": properties, "internal": found, "created": now_text()}
        self._store.put("datastores", found["name"], record)

    async def secrets(self, request: Request) -> Response:
        """A SAS of an hour."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        found = self._store.get("datastores", request.path_params["name"])
        if found is None:
            raise not_found(f"Datastore {request.path_params['name']}")
        account = found["internal"]
        token = generate_container_sas(
            account["account_url"].rpartition("/")[2],
            account["container"],
            account["account_key"],
            permission=ContainerSasPermissions(read=True, write=True, list=True, create=True, add=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return JSONResponse({"secretsType": "Sas", "sasToken": token})

    async def computes(self, _: Request) -> Response:
        """All clusters."""
        return self._resources.listing("computes")

    async def compute(self, request: Request) -> Response:
        """One cluster."""
        return JSONResponse(self._resources.show("computes", request.path_params["name"]))

    async def put_compute(self, request: Request) -> Response:
        """Create or change a cluster; here one is ready at once, and costs nothing."""
        body, name = await read_body(request, Compute), request.path_params["name"]
        check_name(name, COMPUTE_NAME)
        new = self._store.get("computes", name) is None
        body["properties"] |= {"provisioningState": "Succeeded", "createdOn": now_text(), "isAttachedCompute": False}
        body["properties"].setdefault("properties", {}).update({"allocationState": "Steady", "currentNodeCount": 0})
        self._store.put("computes", name, {**body, "created": now_text()})
        return self._resources.begun("computes", name, 201 if new else 200)

    async def delete_compute(self, request: Request) -> Response:
        """Delete a cluster."""
        name = request.path_params["name"]
        headers = self._resources.operation_headers("computes", name)
        self._store.delete("computes", name)
        return Response(status_code=202, headers=headers)

    async def put_data(self, request: Request) -> Response:
        """Register a data asset."""
        await read_body(request, Data)
        return await self._resources.put_version("data", request, ("dataUri", "dataType"))

    async def put_model(self, request: Request) -> Response:
        """Register a model from a trial's output."""
        body = await read_body(request, Model)
        self._models.trial_folder(str(body["properties"].get("modelUri") or ""))
        answer = await self._resources.put_version("models", request, ("modelUri", "modelType"), {"flavors": FLAVORS})
        if answer.status_code == 201:
            name, version = request.path_params["name"], request.path_params["version"]
            data = {"ModelName": name, "ModelVersion": version, "ModelTags": body["properties"].get("tags") or {}}
            self._runs.publish("ModelRegistered", f"models/{name}:{version}", {**data, "ModelProperties": {}})
        return answer

    async def put_code(self, request: Request) -> Response:
        """Register uploaded code."""
        return await self._resources.put_version("codes", request, ("codeUri",))

    async def put_environment(self, request: Request) -> Response:
        """Register an environment, which the local cloud does not build."""
        return await self._resources.put_version("environments", request, ("image", "condaFile"))

    async def pending_upload(self, request: Request) -> Response:
        """A folder to upload code to."""
        from azure.storage.blob import (
            BlobServiceClient,
            ContainerSasPermissions,
            generate_container_sas,
        )

        account = self._config.datastores[0]
        container = f"code-{request.path_params['name']}"[:63]
        service = BlobServiceClient(account["account_url"], account["account_key"])
        if not service.get_container_client(container).exists():
            await asyncio.to_thread(service.create_container, container)
        permission = ContainerSasPermissions(read=True, write=True, list=True, create=True, add=True)
        name, expiry = account["account_url"].rpartition("/")[2], datetime.now(UTC) + timedelta(hours=1)
        token = generate_container_sas(name, container, account["account_key"], permission=permission, expiry=expiry)
        uri = f"{account['account_url']}/{container}"
        reference = {
            "blobUri": uri,
            "storageAccountArmId": f"{self._config.scope}/storage",
            "credential": {"credentialType": "SAS", "sasUri": f"{uri}?{token}"},
        }
        return JSONResponse({"blobReferenceForConsumption": reference, "pendingUploadType": "TemporaryBlobReference"})

    async def versions(self, request: Request) -> Response:
        """Versions of an asset, newest first; archived ones only when asked for."""
        kind, name = request.path_params["kind"], request.path_params["name"]
        found = [
            (k, b) for k, b in reversed(self._resources.versions(kind, name)) if not b["properties"].get("isArchived")
        ]
        if not found and kind == "models":
            raise not_found(f"{kind} {name}")
        return JSONResponse({"value": [self._resources.envelope(f"{kind}/{k}", b) for k, b in found]})

    async def version(self, request: Request) -> Response:
        """One version of an asset."""
        parameters = request.path_params
        return JSONResponse(
            self._resources.show(parameters["kind"], f"{parameters['name']}/versions/{parameters['version']}")
        )

    async def container(self, request: Request) -> Response:
        """An asset over all its versions."""
        return JSONResponse(self._resources.container(request.path_params["kind"], request.path_params["name"]))

    async def list_endpoints(self, _: Request) -> Response:
        """All endpoints."""
        return self._resources.listing("onlineEndpoints")

    async def endpoint(self, request: Request) -> Response:
        """One endpoint."""
        return JSONResponse(self._resources.show("onlineEndpoints", request.path_params["name"]))

    async def put_endpoint(self, request: Request) -> Response:
        """Create an endpoint, or change its traffic."""
        name = request.path_params["name"]
        new = self._endpoints.put(name, await read_body(request, Endpoint))
        return self._resources.begun("onlineEndpoints", name, 201 if new else 200)

    async def delete_endpoint(self, request: Request) -> Response:
        """Delete an endpoint."""
        name = request.path_params["name"]
        if self._store.get("onlineEndpoints", name) is None:
            return Response(status_code=204)
        headers = self._resources.operation_headers("onlineEndpoints", name)
        await asyncio.to_thread(self._endpoints.delete, name)
        return Response(status_code=202, headers=headers)

    async def keys(self, request: Request) -> Response:
        """Both keys."""
        found = self._endpoint_body(request)["internal"]["keys"]
        return JSONResponse({"primaryKey": found[0], "secondaryKey": found[1]})

    async def token(self, request: Request) -> Response:
        """A key in the place of Azure ML's own short-lived token."""
        found = self._endpoint_body(request)["internal"]["keys"]
        return JSONResponse(
            {"accessToken": found[0], "expiryTimeUtc": 0, "refreshAfterTimeUtc": 0, "tokenType": "Bearer"}
        )

    def _endpoint_body(self, request: Request) -> Body:
        found = self._store.get("onlineEndpoints", request.path_params["name"])
        if found is None:
            raise not_found(f"Endpoint {request.path_params['name']}")
        return found

    async def deployments(self, request: Request) -> Response:
        """An endpoint's deployments."""
        self._endpoint_body(request)
        found = self._endpoints.deployments(request.path_params["name"])
        return JSONResponse({"value": [self._deployment(k, b) for k, b in found]})

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
        headers = self._resources.operation_headers("deployments", key)
        stored = self._store.get("deployments", key) or {}
        return JSONResponse(self._deployment(key, stored), 201 if new else 200, headers)

    async def delete_deployment(self, request: Request) -> Response:
        """Delete a deployment that has no traffic."""
        if self._store.get("deployments", _deployment_key(request)) is None:
            return Response(status_code=204)
        headers = self._resources.operation_headers("deployments", _deployment_key(request))
        await asyncio.to_thread(self._endpoints.delete_deployment, *_endpoint_and_slot(request))
        return Response(status_code=202, headers=headers)

    async def logs(self, request: Request) -> Response:
        """The end of a deployment's log."""
        lines = (await read_object(request)).get("tail")
        text = tail(self._endpoints.log(_deployment_key(request)), lines if isinstance(lines, int) else LOG_LINES)
        return JSONResponse({"content": text})


def _endpoint_and_slot(request: Request) -> tuple[str, str]:
    return request.path_params["name"], request.path_params["slot"]


def _deployment_key(request: Request) -> str:
    return "{}/deployments/{}".format(*_endpoint_and_slot(request))
