"""Every HTTP operation of the app, as its document tells of it; a test holds this against what is registered.

Only what code cannot know of itself is written here: a line for people, what a caller may send, and the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

JSON, SVG, HTML, OCTETS = "application/json", "image/svg+xml", "text/html", "application/octet-stream"
Content = Mapping[str, str]
"""Content type to the name of a shape, see shapes.py; `bytes` and `text` are what is no JSON."""
PICTURES: Content = {"image/png": "bytes", "image/jpeg": "bytes"}
ANY = (400, 404, 413, 422, 500, 502, 503, 504)
"""Errors of every operation that looks into storage, and says 400 to a name that is none."""
CHANGES = (*ANY, 409)
PREDICTS = (*ANY, 202, 409, 415, 429)
_PAGED = ("limit", "offset")
_PREDICTION = ("threshold", "top_k", "slot", "version")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; `path` is below /api, `sends` the bodies that it takes, `parameters` names of parameters.py."""

    function: str
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Content]
    errors: tuple[int, ...] = ANY
    parameters: tuple[str, ...] = ()
    sends: Content = field(default_factory=dict)
    needs_body: bool = False
    is_open: bool = False
    """The host asks no key for it."""
    by_client: bool = False
    """It asks for a client key itself."""


def _get(function: str, path: str, tag: str, summary: str, shape: str, *parameters: str) -> Operation:
    return Operation(function, "GET", path, tag, summary, {200: {JSON: shape}}, ANY, parameters)


def _order(function: str, path: str, summary: str) -> Operation:
    return Operation(function, "POST", path, "control", summary, {202: {JSON: "Ordered"}}, CHANGES, (), {JSON: "Asked"})


def _infer(function: str, path: str, summary: str, *parameters: str) -> Operation:
    return Operation(
        function, "POST", path, "open inference protocol", summary, {200: {JSON: "InferenceAnswer"}}, PREDICTS,
        parameters, {JSON: "InferenceRequest"}, needs_body=True,
    )  # fmt: skip


def _webhook(
    function: str, method: str, path: str, summary: str, answers: Mapping[int, Content], sends: str = ""
) -> Operation:
    body = {JSON: sends} if sends else {}
    return Operation(function, method, path, "webhooks", summary, answers, CHANGES, (), body, needs_body=bool(sends))


LOOP, RUN, DATASET = "loops/{loop}", "loops/{loop}/runs/{number}", "loops/{loop}/datasets/{version}"
HOOK, MODEL, VERSION = "webhooks/{id}", "v2/models/{loop}", "v2/models/{loop}/versions/{version}"

_PREDICTIONS = (
    Operation(
        "predict", "POST", f"{LOOP}/predict", "predict", "What the live model of a loop finds in an image",
        {200: {JSON: "Predictions", **PICTURES}, 202: {JSON: "WaitingPrediction"}}, PREDICTS,
        (*_PREDICTION, "render", "notify", "prefer", "deadline", "client", "idempotency"),
        {"image/jpeg": "bytes", "image/png": "bytes", "image/webp": "bytes", OCTETS: "bytes",
         "multipart/form-data": "ImageForm", JSON: "ImageRequest"},
        needs_body=True,
    ),
    Operation(
        "prediction", "GET", f"{LOOP}/predictions/{{id}}", "predict", "What came of a prediction that was made later",
        {200: {JSON: "Predictions", **PICTURES}, 202: {JSON: "WaitingPrediction"}}, PREDICTS,
    ),
)  # fmt: skip
_INFERENCE = (
    Operation("v2_server", "GET", "v2", "open inference protocol", "Who serves", {200: {JSON: "Server"}}, (413, 500)),
    Operation("v2_health", "GET", "v2/health/{probe}", "open inference protocol", "Whether the app, or its storage, "
              "answers", {200: {JSON: "Probe"}}, (*ANY, 429), is_open=True),
    *(
        _infer(name, f"{path}/infer", summary, *_PREDICTION[: 4 if name == "v2_infer" else 2], "deadline", "client")
        for name, path, summary in (
            ("v2_infer", MODEL, "Ask the live model"), ("v2_version_infer", VERSION, "Ask a version that answers now"))
    ),
    *(
        Operation(name, "GET", path, "open inference protocol", summary, {200: {JSON: shape}}, (*ANY, 409, 429))
        for name, path, summary, shape in (
            ("v2_model", MODEL, "Tensors and versions of a loop", "ModelMetadata"),
            ("v2_version", VERSION, "The same of a version", "ModelMetadata"),
            ("v2_model_ready", f"{MODEL}/ready", "Whether a loop has a live model", "ModelReady"),
            ("v2_version_ready", f"{VERSION}/ready", "Whether a version answers", "ModelReady"))
    ),
)  # fmt: skip
_LOOPS = (
    _get("status", "status", "status", "A line a loop", "Loops"),
    _get("loop_status", f"{LOOP}/status", "status", "Everything about a loop", "LoopStatus"),
    _get("problems", f"{LOOP}/problems", "status", "Everything wrong with its files, the worst first", "Problems",
         "severity", "code", *_PAGED),
    _get("timeline", f"{LOOP}/timeline", "status", "What happened and why, newest first", "TimelinePage", "limit",
         "before"),
    _get("explain", f"{LOOP}/explain", "status", "What would happen now, and what is missing for it", "Explanations"),
    Operation("model_card", "GET", f"{LOOP}/models/{{version}}/card", "status", "The card of a model that was measured",
              {200: {JSON: "Card", "text/markdown": "text"}}, ANY, ("card_format",)),
    Operation("runs", "GET", f"{LOOP}/runs", "training", "Training runs, the best first", {200: {JSON: "Leaderboard",
              SVG: "text"}}, ANY, ("metric", "runs_format")),
    _get("run", RUN, "training", "A run with its trials, epoch by epoch", "Run"),
    Operation("run_plot", "GET", f"{RUN}/plot", "training", "A metric of all its trials by epoch as a picture",
              {200: {SVG: "text"}}, ANY, ("metric",)),
    _get("datasets", f"{LOOP}/datasets", "datasets", "Its dataset versions, the newest first", "DatasetVersions"),
    _get("dataset", DATASET, "datasets", "One of them", "DatasetDocument"),
    _get("dataset_changes", f"{DATASET}/changes", "datasets", "The images that it changes", "DatasetChanges", "kind",
         *_PAGED),
    _get("dataset_labels", f"{DATASET}/labels", "datasets", "The label files that it was made of", "DatasetLabels",
         *_PAGED),
    Operation("dataset_export", "GET", f"{DATASET}/export", "datasets", "Its images and labels in another format",
              {status: {JSON: "Export", "application/zip": "bytes"} for status in (200, 206)}, (*ANY, 409, 416),
              ("export_format", "range")),
)  # fmt: skip
_ORDERS = (
    _order("train", f"{LOOP}/train", "Trains now, whatever the thresholds"),
    _order("pause", f"{LOOP}/pause", "Starts nothing new until it is resumed"),
    _order("resume", f"{LOOP}/resume", "Takes the pause back"),
    _order("cancel_run", f"{RUN}/cancel", "Cancels a training run"),
    _order("rollout", f"{LOOP}/rollout/{{word}}", "Promotes, rolls back, holds or resumes a rollout"),
    Operation("approval", "GET", "approvals/{loop}", "control", "The question of a rollout, as a page",
              {200: {HTML: "text"}}, (*CHANGES, 403), ("token",), is_open=True),
    Operation("approval_answer", "POST", "approvals/{loop}", "control", "The page's answer, once",
              {200: {HTML: "text"}}, (*CHANGES, 403), (), {"application/x-www-form-urlencoded": "ApprovalForm"},
              needs_body=True, is_open=True),
)  # fmt: skip
_WEBHOOKS = (
    _webhook("webhooks_register", "POST", "webhooks", "Registers a receiver; the only answer with its secret",
             {201: {JSON: "NewWebhook"}}, "WebhookRequest"),
    _webhook("webhooks_list", "GET", "webhooks", "Lists receivers", {200: {JSON: "Webhooks"}}),
    _webhook("webhooks_get", "GET", HOOK, "One receiver", {200: {JSON: "Webhook"}}),
    _webhook("webhooks_update", "PATCH", HOOK, "Changes it", {200: {JSON: "Webhook"}}, "WebhookChanges"),
    _webhook("webhooks_remove", "DELETE", HOOK, "Forgets it", {204: {}}),
    _webhook("webhooks_rotate", "POST", f"{HOOK}/rotate", "Makes it a new secret; the old one signs too for a day",
             {200: {JSON: "NewWebhook"}}),
    *(
        Operation(name, method, f"{HOOK}/agreement", "webhooks", "A receiver agrees later, by the address that the "
                  "handshake gave it", {200: {JSON: "Agreement"}}, (*CHANGES, 403), ("agreement", "allowed_rate"),
                  is_open=True)
        for name, method in (("webhooks_agree", "GET"), ("webhooks_agree_by_post", "POST"))
    ),
    _webhook("webhooks_test", "POST", f"{HOOK}/test", "Sends it a test event", {202: {JSON: "Queued"}}),
    _webhook("webhooks_deliveries", "GET", f"{HOOK}/deliveries", "Its delivery log", {200: {JSON: "Deliveries"}}),
    _webhook("webhooks_replay", "POST", f"{HOOK}/replay", "Sends the events of a time again",
             {202: {JSON: "ReplayedDeliveries"}}, "ReplayRequest"),
    _webhook("webhooks_replay_one", "POST", f"{HOOK}/deliveries/{{delivery}}/replay", "Sends one delivery again",
             {202: {JSON: "Queued"}}),
    Operation("schemas", "GET", "schemas", "webhooks", "The types of events", {200: {JSON: "Schemas"}}, (413, 500),
              is_open=True),
    Operation("schemas_one", "GET", "schemas/{type}", "webhooks", "The JSON Schema of the data of one",
              {200: {"application/schema+json": "Schema"}}, (404, 413, 500), is_open=True),
)  # fmt: skip
_INBOUND = (
    Operation("inbound_register", "POST", "inbound", "inbound", "Lets a system send; the only answer with its secret",
              {201: {JSON: "NewSource"}}, CHANGES, (), {JSON: "SourceRequest"}, needs_body=True),
    _get("inbound_list", "inbound", "inbound", "Lists systems that may send", "Sources"),
    Operation("inbound_update", "PATCH", "inbound/{id}", "inbound", "Changes what one is asked with, such as its token",
              {200: {JSON: "Source"}}, CHANGES, (), {JSON: "SourceChanges"}, needs_body=True),
    Operation("inbound_rotate", "POST", "inbound/{id}/rotate", "inbound", "Makes it a new secret; the one before is "
              "good too for a while", {200: {JSON: "NewSource"}}, CHANGES, (), {JSON: "KeyRotation"}),
    Operation("inbound_remove", "DELETE", "inbound/{id}", "inbound", "Takes nothing more from one", {204: {}}, CHANGES),
    Operation("inbound_events", "POST", "inbound/{id}/events", "inbound", "Takes images and labels, proven by its "
              "source", {200: {JSON: "Received"}}, (*CHANGES, 403), (), {JSON: "InboundMessage"}, needs_body=True,
              is_open=True),
    Operation("label_studio_health", "GET", "label-studio/{id}/health", "inbound", "Label Studio asks whether we are "
              "there", {200: {JSON: "Backend"}}, (*ANY, 403), is_open=True),
    Operation("label_studio_setup", "POST", "label-studio/{id}/setup", "inbound", "Label Studio tells its project",
              {200: {JSON: "Suggested"}}, (*ANY, 403), (), {JSON: "Project"}, is_open=True),
    Operation("label_studio_predict", "POST", "label-studio/{id}/predict", "inbound", "Label Studio asks for "
              "suggestions", {200: {JSON: "Suggestions"}}, (*PREDICTS, 403), (), {JSON: "Tasks"}, needs_body=True,
              is_open=True),
    Operation("label_studio_webhook", "POST", "label-studio/{id}/webhook", "inbound", "Acknowledges what Label Studio "
              "tells a backend", {201: {JSON: "Backend"}}, (*ANY, 403), (), {JSON: "Project"}, is_open=True),
)  # fmt: skip
_APP = (
    Operation("health", "GET", "health", "app", "Whether the app answers; with `deep` its storage too",
              {200: {JSON: "Health"}}, (400, 413, 422, 500, 503), ("deep",), is_open=True),
    Operation("dashboard", "GET", "dashboard", "app", "The status page", {200: {HTML: "text"}}, (413, 500),
              is_open=True),
    Operation("openapi", "GET", "openapi.json", "app", "This document", {200: {JSON: "OpenAPI"}}, (413, 500),
              is_open=True),
    Operation("api_page", "GET", "docs", "app", "A page to read and try it", {200: {HTML: "text"}}, (413, 500),
              is_open=True),
)  # fmt: skip
_KEYS = (
    Operation("keys_add", "POST", f"{LOOP}/keys", "keys", "Makes a client key; the only answer with it",
              {201: {JSON: "NewClientKey"}}, CHANGES, (), {JSON: "ClientKeyRequest"}),
    _get("keys_list", f"{LOOP}/keys", "keys", "Its client keys, and what was asked with each", "ClientKeys"),
    Operation("keys_rotate", "POST", f"{LOOP}/keys/{{id}}/rotate", "keys", "Makes it a new secret; the old one is good "
              "too for a while", {200: {JSON: "NewClientKey"}}, CHANGES, (), {JSON: "KeyRotation"}),
    Operation("keys_remove", "DELETE", f"{LOOP}/keys/{{id}}", "keys", "Forgets it", {204: {}}, CHANGES),
)  # fmt: skip
_TWINS = {
    name: f"client_{name.removeprefix('loop_')}"
    for name in (
        "predict", "prediction", *(one.function for one in _INFERENCE),
        "loop_status", "explain", "train", "pause", "resume", "cancel_run", "rollout",
    )
}  # fmt: skip
"""Routes that are there once more below /api/client, for holders of client keys."""
_OF_NO_LOOP = {"v2_server", "v2_health"}
"""Those that ask for no key, as a key is of a loop."""
_CLIENTS = (
    *(
        replace(
            one, function=_TWINS[one.function], path=f"client/{one.path}", tag="client", is_open=True,
            by_client=one.function not in _OF_NO_LOOP,
            errors=one.errors if one.function in _OF_NO_LOOP else tuple(sorted({*one.errors, 401, 403, 429})),
        )
        for one in (*_PREDICTIONS, *_LOOPS, *_ORDERS, *_INFERENCE)
        if one.function in _TWINS
    ),
    Operation(
        "client_items", "POST", f"client/{LOOP}/items", "client", "Takes images and labels of a loop",
        {200: {JSON: "Received"}}, (*CHANGES, 401, 403, 429), (), {JSON: "GenericMessage"}, needs_body=True,
        is_open=True, by_client=True,
    ),
)  # fmt: skip
OPERATIONS = (*_PREDICTIONS, *_LOOPS, *_ORDERS, *_INBOUND, *_WEBHOOKS, *_KEYS, *_CLIENTS, *_INFERENCE, *_APP)
