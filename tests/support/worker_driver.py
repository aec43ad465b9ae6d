"""Runs an app in Microsoft's own worker library: `python -m tests.support.worker_driver FOLDER`, cases on stdin.

It is the code that runs our functions in Azure, without the host's gRPC. One app a process, as its state is global.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import types
from typing import Any

from azure_functions_runtime import handle_event, native_invocation
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.utils.threadpool import start_threadpool_executor


class Message:
    """Stands in for any message of the worker's protocol, whose generated classes are not in the library."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


def messages() -> types.SimpleNamespace:
    names = (
        "WorkerInitResponse", "FunctionMetadataResponse", "RpcFunctionMetadata", "WorkerMetadata", "RpcException",
        "RpcRetryOptions", "StatusResult", "BindingInfo", "TypedData",
    )  # fmt: skip
    found = types.SimpleNamespace(**{name: type(name, (Message,), {}) for name in names})
    found.StatusResult.Success, found.StatusResult.Failure = 1, 0
    for number, direction in enumerate(("in", "out", "inout")):
        setattr(found.BindingInfo, direction, number)
    found.BindingInfo.undefined = 0
    return found


async def start(folder: str) -> dict[str, str]:
    """Index the app as at a cold start; names of functions to their ids."""
    protos = messages()
    asked = types.SimpleNamespace(
        worker_init_request=types.SimpleNamespace(capabilities={}, function_app_directory=folder)
    )
    answer = await handle_event.worker_init_request(
        types.SimpleNamespace(request=asked, properties={"host": "127.0.0.1", "protos": protos})
    )
    if answer.result.status != protos.StatusResult.Success:
        raise SystemExit(f"The worker does not load the app: {answer.result.exception.message}")
    found = await handle_event.functions_metadata_request(None)
    start_threadpool_executor()
    return {f.name: f.function_id for f in found.function_metadata_results}


def datum(case: dict[str, Any]) -> Datum:
    if case["kind"] != "http":
        return Datum(case["input"], case["kind"])
    asked = case["input"]

    def texts(found: dict[str, str]) -> dict[str, Datum]:
        return {name: Datum(value, "string") for name, value in found.items()}

    return Datum(
        {
            "method": Datum(asked["method"], "string"),
            "url": Datum(f"http://localhost{asked['path']}", "string"),
            "headers": texts(asked["headers"]),
            "query": texts(asked["query"]),
            "params": texts(asked["params"]),
            "body": Datum(base64.b64decode(asked["body"]), "bytes"),
        },
        "http",
    )


def shown(value: Datum | None) -> dict[str, Any] | None:
    if value is None or value.type != "http":
        return None
    headers = {name.lower(): str(header.value) for name, header in value.value["headers"].items()}
    body = value.value["body"].value or b""
    body = body if isinstance(body, bytes) else str(body).encode()
    return {
        "status": int(value.value["status_code"].value),
        "headers": headers,
        "body": base64.b64encode(body).decode(),
    }


async def main() -> None:
    functions = await start(sys.argv[1])
    results = []
    for case in json.load(sys.stdin):
        invoked = await native_invocation.invocation_request_native(
            "invocation", functions[case["function"]], [(case["argument"], datum(case))], {}
        )
        ok, value, _, error, _ = invoked
        results.append({"ok": ok, "error": error, "answer": shown(value)})
    json.dump({"functions": sorted(functions), "results": results}, sys.stdout)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    asyncio.run(main())
