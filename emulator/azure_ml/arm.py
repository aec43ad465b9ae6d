"""The management API below a workspace: everything but jobs and endpoints."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.config import LOCATION
from emulator.azure_ml.errors import not_found, user_error
from emulator.azure_ml.listings import viewed
from emulator.azure_ml.models import Models
from emulator.azure_ml.resources import Resources, check_name, now_text, read_body
from emulator.azure_ml.runs import Runs
from emulator.azure_ml.shapes import Compute, Data, Datastore, Model
from emulator.azure_ml.store import Body
from emulator.azure_ml.tables import long_uri

NODES = ("preparing", "running", "idle", "unusable", "leaving", "preempted")
COMPUTE_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{2,23}")
"""As Microsoft publishes it: what follows the last dash is no number."""
DATASTORE_NAME = re.compile(r"[a-zA-Z0-9_]{1,255}")
DEFAULT_DATASTORE = "workspaceblobstore"
FLAVORS: Body = {"python_function": {"data": {}}}
"""What Azure ML reads in an MLmodel file; the SDK fails on a model without."""
Page = Callable[[Request], Awaitable[Response]]


class Arm:
    """Pages by resource."""

    def __init__(self, resources: Resources, models: Models, runs: Runs) -> None:
        """All of one workspace."""
        self._resources, self._models, self._runs = resources, models, runs
        self._store, self._config = resources.store, resources.config

    def routes(self) -> Sequence[Route]:
        """Routes relative to the workspace."""
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
            ("GET", "/{kind:asset}", self.containers),
            ("GET", "/{kind:asset}/{name}/versions", self.versions),
            ("GET", "/{kind:asset}/{name}/versions/{version}", self.version),
            ("GET", "/{kind:asset}/{name}", self.container),
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
        return self._resources.listing(request, "datastores")

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
        return self._resources.created(request, self._resources.show("datastores", name), new=new)

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

    async def computes(self, request: Request) -> Response:
        """All clusters."""
        return self._resources.listing(request, "computes")

    async def compute(self, request: Request) -> Response:
        """One cluster."""
        return JSONResponse(self._resources.show("computes", request.path_params["name"]))

    async def put_compute(self, request: Request) -> Response:
        """Create or change a cluster; here one is ready at once, and costs nothing."""
        body, name = await read_body(request, Compute), request.path_params["name"]
        check_name(name, COMPUTE_NAME)
        old = self._store.get("computes", name)
        made = cluster(body, old, now_text())
        self._store.put("computes", name, made)
        shown = self._resources.show("computes", name)
        shown["properties"] = {**shown["properties"], "provisioningState": "Creating"}
        return JSONResponse(shown, 201, self._resources.begin(request, "computes", name))

    async def delete_compute(self, request: Request) -> Response:
        """Delete a cluster.

        Raises:
            AzureError: 400, it was not said whether its machines go too; 404.
        """
        name, action = request.path_params["name"], request.query_params.get("underlyingResourceAction")
        if action not in {"Delete", "Detach"}:
            raise user_error("underlyingResourceAction is Delete or Detach")
        self._resources.show("computes", name)
        headers = self._resources.begin(request, "computes", name)
        self._store.delete("computes", name)
        return Response(status_code=202, headers=headers)

    async def put_data(self, request: Request) -> Response:
        """Register a data asset; its address is kept and shown in the long form, as Azure does."""
        await read_body(request, Data)
        return await self._resources.put_version("data", request, ("dataUri", "dataType"), rewrite=self._long)

    def _long(self, properties: Body) -> Body:
        return {**properties, "dataUri": long_uri(properties["dataUri"], self._config)}

    async def put_model(self, request: Request) -> Response:
        """Register a model from a trial's output."""
        body = await read_body(request, Model)
        self._models.trial_folder(str(body["properties"].get("modelUri") or ""))
        defaults = {"flavors": FLAVORS, "jobName": self._models.job(body["properties"]["modelUri"])}
        answer = await self._resources.put_version("models", request, ("modelUri", "modelType"), defaults)
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

    async def containers(self, request: Request) -> Response:
        """Named assets of a kind."""
        return self._resources.containers(request, request.path_params["kind"])

    async def versions(self, request: Request) -> Response:
        """Versions of an asset, newest first; archived ones only when asked for."""
        kind, name = request.path_params["kind"], request.path_params["name"]
        found = viewed(request, list(reversed(self._resources.versions(kind, name))))
        if not found and kind == "models":
            raise not_found(f"{kind} {name}")
        return self._resources.listing(request, kind, found)

    async def version(self, request: Request) -> Response:
        """One version of an asset."""
        parameters = request.path_params
        return JSONResponse(
            self._resources.show(parameters["kind"], f"{parameters['name']}/versions/{parameters['version']}")
        )

    async def container(self, request: Request) -> Response:
        """An asset over all its versions."""
        return JSONResponse(self._resources.container(request.path_params["kind"], request.path_params["name"]))


def cluster(body: Body, old: Body | None, now: str) -> Body:
    """A cluster as Azure ML shows it, without machines; it writes sizes in capitals."""
    properties = body["properties"]
    given = properties.get("properties") or {}
    size = {"vmSize": str(given["vmSize"]).upper()} if given.get("vmSize") else {}
    state: Body = {"currentNodeCount": 0, "targetNodeCount": 0, "allocationState": "Steady", "errors": None}
    state["nodeStateCounts"] = {f"{name}NodeCount": 0 for name in NODES}
    created = old["created"] if old else now
    shown: Body = {"provisioningState": "Succeeded", "provisioningErrors": None, "isAttachedCompute": False}
    shown |= {"createdOn": created, "modifiedOn": now, "computeLocation": LOCATION}
    told = {**properties, **shown, "properties": {**given, **size, **state}}
    return {**body, "properties": told, "created": created, "modified": now}
