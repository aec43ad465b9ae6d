"""The OpenAPI document is whole: every route, every event, every reference, and no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from services.openapi.document import document, text
from services.openapi.table import OPERATIONS
from services.state import Event
from services.webhooks.kinds import KINDS
from tests.support.http_request import functions
from tests.support.stages import NOW

SAID = {"loop": "", "reason": "r"}
FOUND = document()
SCHEMAS = FOUND["components"]["schemas"]


def every(part: Any) -> Iterator[Any]:
    yield part
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    for each in parts:
        yield from every(each)


def operations() -> list[dict[str, Any]]:
    return [operation for path in FOUND["paths"].values() for operation in path.values()]


def test_every_registered_route_is_there_and_no_other() -> None:
    routes = set()
    for name, found in functions().items():
        for binding in map(json.loads, found.get_raw_bindings()):
            if binding["type"] == "httpTrigger":
                is_open = "ANONYMOUS" in str(binding["authLevel"]).upper()
                routes |= {(name, method, binding["route"], is_open) for method in binding["methods"]}
    assert {(o.function, o.method, o.path, o.is_open) for o in OPERATIONS} == routes
    assert len(OPERATIONS) == len(operations()) == len(routes)


def test_every_kind_of_event_is_a_webhook() -> None:
    assert FOUND["webhooks"].keys() == {f"visionloop.{kind}" for kind in KINDS}


def test_an_event_is_what_its_webhook_says_and_no_other() -> None:
    event = Event(id="1", source="/s", type="visionloop.webhook.test", subject="cards", time=NOW, data=SAID)
    told = event.model_dump(mode="json")
    for kind, fits in {"webhook.test": True, "loop.error": False}.items():
        [content] = FOUND["webhooks"][f"visionloop.{kind}"]["post"]["requestBody"]["content"].values()
        checker = Draft202012Validator({**content["schema"], "components": FOUND["components"]})
        assert checker.is_valid(told) == fits


def test_every_shape_is_a_schema_and_every_reference_leads_to_one() -> None:
    for shape in SCHEMAS.values():
        Draft202012Validator.check_schema(shape)
    led = {part["$ref"] for part in every(FOUND) if isinstance(part, dict) and "$ref" in part}
    assert led <= {f"#/components/schemas/{name}" for name in SCHEMAS}
    assert {f"#/components/schemas/{n}" for n in SCHEMAS if n.startswith("Model")} - led <= {
        f"#/components/schemas/{n}" for n in ("ModelMetadata", "ModelReady")
    }, "no model is there for nothing"


def test_paths_name_their_parameters_and_names_are_unique() -> None:
    for path, found in FOUND["paths"].items():
        for operation in found.values():
            in_path = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert in_path == re.findall(r"\{(\w+)\}", path)
    identities = [operation["operationId"] for operation in operations()]
    assert len(set(identities)) == len(identities)


def test_every_operation_says_how_it_fails_in_the_one_shape() -> None:
    for operation in operations():
        failed = {status: found for status, found in operation["responses"].items() if status >= "400"}
        assert "500" in failed
        by_client = bool(operation.get("security"))
        assert ("401" in failed) == ("security" not in operation or by_client)
        assert all(
            found["content"].keys() == {"application/problem+json"}
            for s, found in failed.items()
            if s != "401" or by_client
        )


def test_secrets_are_in_the_two_answers_that_make_them_only() -> None:
    assert "secret" not in json.dumps(SCHEMAS["Webhook"]["properties"])
    assert "outbox" not in SCHEMAS["LoopState"]["properties"]
    showing = [o["operationId"] for o in operations() if "NewWebhook" in json.dumps(o["responses"])]
    assert sorted(showing) == ["webhooks_register", "webhooks_rotate"]
    assert not {"hash", "old", "key"} & SCHEMAS["ClientKey"]["properties"].keys()
    showing = [o["operationId"] for o in operations() if "NewClientKey" in json.dumps(o["responses"])]
    assert sorted(showing) == ["keys_add", "keys_rotate"]


def test_it_is_built_once_and_not_when_the_app_starts() -> None:
    assert text() is text()
    assert json.loads(text()) == FOUND
