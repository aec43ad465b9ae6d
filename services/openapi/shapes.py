"""The shapes that the document names: from the pydantic models where there are any, else their members' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

Shape = dict[str, Any]
REF = "#/components/schemas/"
TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "number"}
COUNT: Shape = {"type": "integer"}
PAGE: Shape = {"type": ["integer", "null"]}
FREE: Shape = {"type": "object"}


def ref(name: str) -> Shape:
    """A reference to a shape."""
    return {"$ref": f"{REF}{name}"}


def many(shape: Shape) -> Shape:
    """A list of them."""
    return {"type": "array", "items": shape}


def record(description: str = "", *, needed: int | None = None, **members: Shape) -> Shape:
    """An object of at least these members; of the first `needed` of them, where the others may be left out."""
    found = {"type": "object", "properties": members, "required": [*members][:needed]}
    return {"description": description, **found} if description else found


def shapes() -> dict[str, Shape]:
    """Every shape by name."""
    told = {**_predictions(), **_loops(), **_datasets(), **_integrations(), **_service()}
    return {**_models(), **_events(), **told, **_protocol(), **_requests()}


def event_shape(kind: str) -> str:
    """The name of the shape of a kind's data."""
    return f"DataOf-{kind}"


def _events() -> dict[str, Shape]:
    """The data of events, with the parts that they are made of."""
    from services.webhooks.schemas import components

    kinds, parts = components(f"{REF}Told")
    return {f"Told{name}": part for name, part in parts.items()} | {event_shape(k): shape for k, shape in kinds.items()}


def _models() -> dict[str, Shape]:
    """What pydantic makes of the models, under our names, and the models that those stand on under their own."""
    from services.access.keys import Key, NewKey, Rotation
    from services.commands import Asked
    from services.inbound.generic import Message
    from services.inbound.sources import Changes as SourceChanges
    from services.inbound.sources import NewSource
    from services.inference.answer import Answer
    from services.state import Event, LoopState, Problem
    from services.webhooks.endpoint import Changes, Endpoint, NewEndpoint
    from services.webhooks.log import Delivery
    from services.webhooks.replay import Span

    reads: Mapping[str, type[BaseModel]] = {
        "Asked": Asked, "WebhookRequest": NewEndpoint, "WebhookChanges": Changes, "ReplayRequest": Span,
        "SourceRequest": NewSource, "SourceChanges": SourceChanges, "GenericMessage": Message,
        "ClientKeyRequest": NewKey, "KeyRotation": Rotation,
    }  # fmt: skip
    tells: Mapping[str, type[BaseModel]] = {
        "Prediction": Answer, "Event": Event, "LoopState": LoopState, "FileProblem": Problem, "Delivery": Delivery,
        "Webhook": Endpoint, "ClientKey": Key,
    }  # fmt: skip
    modes: list[tuple[str, type[BaseModel], JsonSchemaMode]] = [
        *((name, model, "validation") for name, model in reads.items()),
        *((name, model, "serialization") for name, model in tells.items()),
    ]
    pairs, top = models_json_schema([(model, mode) for _, model, mode in modes], ref_template=f"{REF}Model{{model}}")
    found = {f"Model{name}": shape for name, shape in top["$defs"].items()}
    named: dict[str, Shape] = {name: pairs[model, mode] for name, model, mode in modes}
    for name, secret in {
        "Webhook": {"secret", "old_secrets", "asked_hash"},
        "LoopState": {"outbox"},
        "ClientKey": {"hash", "old"},
    }.items():
        named[name] = _without(found.pop(named[name]["$ref"].removeprefix(REF)), secret)
    del found["ModelOldSecret"], found["ModelOld"]
    return {**found, **named}


def _without(shape: Shape, left_out: set[str]) -> Shape:
    properties = {name: found for name, found in shape["properties"].items() if name not in left_out}
    return {**shape, "properties": properties, "required": [n for n in shape["required"] if n not in left_out]}


def _predictions() -> dict[str, Shape]:
    """What predictions answer beside models."""
    return {
        "ProblemDetails": record("RFC 9457", type=TEXT, title=TEXT, status=COUNT, detail=TEXT),
        "Predictions": {"anyOf": [ref("Prediction"), many(ref("Prediction")), {"description": "Azure ML's own"}]},
        "WaitingPrediction": record(id=TEXT, loop=TEXT, status={"const": "waiting"}, path=TEXT),
    }


def _loops() -> dict[str, Shape]:
    """What is told of a loop, of its runs and its model: the members, as docs/api.md describes them."""
    stand = record(word=TEXT, tone={"enum": ["good", "busy", "idle", "warn", "bad"]}, live=TEXT)
    loop = record(loop=TEXT, doing=TEXT, standing=stand, images=COUNT, labelled=COUNT, addresses=FREE)
    stands = record(problems=many(ref("FileProblem")), progress=FREE, serving={}, timeline=many(ref("Event")))
    return {
        "Loops": record(loops=many(loop)),
        "LoopStatus": {"allOf": [loop, ref("LoopState"), stands]},
        "Problems": record(
            count=COUNT, by_severity=FREE, by_code=FREE, kept=COUNT, problems=many(ref("FileProblem")), next=PAGE
        ),
        "TimelinePage": record(events=many(ref("Event")), next={"type": ["string", "null"]}),
        "Explanations": record(
            loop=TEXT, parts=many(record(part=TEXT, acts={"type": "boolean"})), sentences=many(TEXT)
        ),
        "Card": FREE,
        "Leaderboard": record(loop=TEXT, metric=TEXT, champion_run=PAGE, runs=many(record(number=COUNT, status=TEXT))),
        "Run": record(number=COUNT, status=TEXT, metric=TEXT, trials=many(record(name=TEXT)), plots=FREE),
        "Ordered": record(loop=TEXT, command=TEXT, says=TEXT),
    }


def _datasets() -> dict[str, Shape]:
    """What is told of a loop's dataset versions."""
    return {
        "DatasetVersions": record(loop=TEXT, versions=many(ref("DatasetDocument"))),
        "DatasetDocument": record(
            number=COUNT, images=COUNT, current={"type": "boolean"}, runs=many(COUNT), addresses=FREE
        ),
        "DatasetChanges": record(kind=TEXT, counts=FREE, images=many(TEXT), next=PAGE),
        "DatasetLabels": record(count=COUNT, by_format=FREE, files=many(record(file=TEXT, format=TEXT)), next=PAGE),
        "Export": {"description": "COCO's JSON, or a range of its bytes"},
    }


def _integrations() -> dict[str, Shape]:
    """What webhooks, labelling tools and client keys are answered."""
    used = record(last_used={"type": ["string", "null"]}, used=FREE)
    return {
        "Webhooks": record(webhooks=many(ref("Webhook"))),
        "NewWebhook": {"allOf": [ref("Webhook"), record(secret=TEXT)]},
        "NewSource": record(id=TEXT, kind=TEXT, loop=TEXT, path=TEXT, secret=TEXT),
        "Source": record(id=TEXT, kind=TEXT, loop=TEXT, path=TEXT),
        "Sources": record(sources=many(ref("Source"))),
        "Backend": record(status={"const": "UP"}, model_class=TEXT, loop=TEXT),
        "Suggested": record(model_version=TEXT),
        "Suggestions": record(results=many(record(result=many(FREE), score=NUMBER)), model_version=TEXT),
        "Project": FREE,
        "Tasks": record(tasks=many(FREE), label_config=TEXT),
        "Received": record(taken={"type": "boolean"}, files=many(TEXT), says=TEXT),
        "NewClientKey": {"allOf": [ref("ClientKey"), record(key=TEXT)]},
        "ClientKeys": record(
            loop=TEXT, keys=many({"allOf": [ref("ClientKey"), used]}), others=many({"allOf": [record(id=TEXT), used]})
        ),
        "Agreement": record(agreed=TEXT, per_minute={"type": ["integer", "null"]}, says=TEXT),
        "Queued": record(delivery=TEXT, event=TEXT),
        "Deliveries": record(deliveries=many(ref("Delivery"))),
        "ReplayedDeliveries": record(
            needed=1, deliveries=many(TEXT), forgotten=record(events=COUNT, before=TEXT, says=TEXT)
        ),
    }


def _service() -> dict[str, Shape]:
    """What the service says of itself."""
    return {
        "Schemas": record(schemas=many(record(type=TEXT, summary=TEXT, schema=TEXT))),
        "Schema": FREE,
        "Health": record(needed=2, status={"const": "ok"}, version=TEXT, storage={"const": "ok"}),
        "OpenAPI": record(openapi=TEXT, info=FREE, paths=FREE, webhooks=FREE),
    }


def _protocol() -> dict[str, Shape]:
    """https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md."""
    tensor = record(name=TEXT, datatype=TEXT, shape=many(COUNT))
    values = record(name=TEXT, datatype=TEXT, shape=many(COUNT), data={"type": "array"})
    asked = record(
        needed=3, name=TEXT, datatype={"const": "BYTES"}, shape=many(COUNT), data=many(TEXT), parameters=FREE
    )
    return {
        "Server": record(name=TEXT, version=TEXT, extensions=many(TEXT)),
        "Probe": record(live={"type": "boolean"}),
        "ModelMetadata": record(
            name=TEXT, versions=many(TEXT), platform=TEXT, inputs=many(tensor), outputs=many(tensor)
        ),
        "ModelReady": record(name=TEXT, ready={"type": "boolean"}),
        "InferenceRequest": record(
            needed=1, inputs=many(asked), id=TEXT, parameters=FREE, outputs=many(record(name=TEXT))
        ),
        "InferenceAnswer": record(model_name=TEXT, model_version=TEXT, outputs=many(values)),
    }


def _requests() -> dict[str, Shape]:
    image: Shape = {"type": "string", "contentEncoding": "base64"}
    one_of = {"image": image, "images": many(image), "image_url": TEXT, "image_urls": many(TEXT), "input_data": FREE}
    return {
        "InboundMessage": {
            "anyOf": [
                ref("GenericMessage"),
                record("Label Studio's", action=TEXT),
                record("CVAT's", event=TEXT, job=FREE),
            ]
        },
        "ImageRequest": {"oneOf": [record("", needed=1, **{name: shape}) for name, shape in one_of.items()]},
        "ImageForm": record(image=many({"type": "string", "contentMediaType": "application/octet-stream"})),
        "ApprovalForm": record(needed=2, token=TEXT, answer={"enum": ["approve", "refuse"]}, by=TEXT),
    }
