"""The function app: one blueprint an event source. What the functions do is in services/."""

from __future__ import annotations

import azure.functions as func

from triggers import (
    access,
    approvals,
    client,
    client_open_inference,
    control,
    datasets,
    deliver,
    inbound,
    label_studio,
    ml_events,
    open_inference,
    openapi,
    predict,
    predict_later,
    runs,
    schedule,
    status,
    storage_events,
    wake,
    webhooks,
)

app = func.FunctionApp()
for part in (
    storage_events,
    ml_events,
    wake,
    schedule,
    deliver,
    predict,
    predict_later,
    access,
    client,
    client_open_inference,
    open_inference,
    status,
    runs,
    control,
    datasets,
    approvals,
    webhooks,
    inbound,
    label_studio,
    openapi,
):
    app.register_functions(part.blueprint)
