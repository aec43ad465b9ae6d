"""HTTP: what holders of client keys with the scopes `label` and `admin` may ask of their loop.

The host asks no key for these routes; each begins with the door, which does.
"""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from triggers.http import answers, answers_large, asked, json_answer

blueprint = func.Blueprint()
OURS = func.AuthLevel.ANONYMOUS
BELOW = "client/loops/{loop}"


@blueprint.function_name("client_items")
@blueprint.route(f"{BELOW}/items", methods=["POST"], auth_level=OURS)
@answers_large
def items(req: func.HttpRequest) -> func.HttpResponse:
    """Take images and labels, as from a system that signs them."""
    from services import wiring

    wiring.door().admit(req.route_params["loop"], req.headers, "label")
    return json_answer(wiring.push().take(req.route_params["loop"], req.get_body()))


@blueprint.function_name("client_status")
@blueprint.route(f"{BELOW}/status", methods=["GET"], auth_level=OURS)
@answers
def status(req: func.HttpRequest) -> func.HttpResponse:
    """As `loop_status`."""
    from services import wiring

    loop, _ = _admin(req)
    asked(req)
    return json_answer(wiring.status().loop(loop))


@blueprint.function_name("client_explain")
@blueprint.route(f"{BELOW}/explain", methods=["GET"], auth_level=OURS)
@answers
def explain(req: func.HttpRequest) -> func.HttpResponse:
    """As `explain`."""
    from services import wiring

    loop, _ = _admin(req)
    asked(req)
    return json_answer(wiring.status().explain(loop, wiring.clock()))


@blueprint.function_name("client_train")
@blueprint.route(f"{BELOW}/train", methods=["POST"], auth_level=OURS)
@answers
def train(req: func.HttpRequest) -> func.HttpResponse:
    """As `train`."""
    from services import wiring

    return _ordered(req, lambda loop, body: wiring.controls().train(loop, body))


@blueprint.function_name("client_pause")
@blueprint.route(f"{BELOW}/pause", methods=["POST"], auth_level=OURS)
@answers
def pause(req: func.HttpRequest) -> func.HttpResponse:
    """As `pause`."""
    from services import wiring

    return _ordered(req, lambda loop, body: wiring.controls().pause(loop, body))


@blueprint.function_name("client_resume")
@blueprint.route(f"{BELOW}/resume", methods=["POST"], auth_level=OURS)
@answers
def resume(req: func.HttpRequest) -> func.HttpResponse:
    """As `resume`."""
    from services import wiring

    return _ordered(req, lambda loop, body: wiring.controls().resume(loop, body))


@blueprint.function_name("client_cancel_run")
@blueprint.route(f"{BELOW}/runs/{{number}}/cancel", methods=["POST"], auth_level=OURS)
@answers
def cancel_run(req: func.HttpRequest) -> func.HttpResponse:
    """As `cancel_run`."""
    from services import wiring

    number = req.route_params["number"]
    return _ordered(req, lambda loop, body: wiring.controls().cancel(loop, number, body))


@blueprint.function_name("client_rollout")
@blueprint.route(f"{BELOW}/rollout/{{word}}", methods=["POST"], auth_level=OURS)
@answers
def rollout(req: func.HttpRequest) -> func.HttpResponse:
    """As `rollout`."""
    from services import wiring

    word = req.route_params["word"]
    return _ordered(req, lambda loop, body: wiring.rollout_controls().order(loop, word, body))


def _admin(req: func.HttpRequest) -> tuple[str, str]:
    """The loop and who asks, if that is somebody who may."""
    from services import wiring

    loop = req.route_params["loop"]
    return loop, wiring.door().admit(loop, req.headers, "admin")


def _ordered(req: func.HttpRequest, order: Callable[[str, bytes], object]) -> func.HttpResponse:
    from services.access.caller import order_of

    loop, who = _admin(req)
    return json_answer(order(loop, order_of(who, req.get_body())), 202)
