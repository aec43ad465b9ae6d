"""HTTP: register, list, remove and test receivers of webhooks."""

from __future__ import annotations

import json

import azure.functions as func

from triggers.http import answers, json_answer

blueprint = func.Blueprint()


@blueprint.function_name("webhooks_register")
@blueprint.route("webhooks", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def register(req: func.HttpRequest) -> func.HttpResponse:
    """Register a receiver; its secret is shown here and never again."""
    from services import wiring

    return json_answer(wiring.webhook_console().register(req.get_body()), 201)


@blueprint.function_name("webhooks_list")
@blueprint.route("webhooks", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def listing(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """All receivers."""
    from services import wiring

    return json_answer(wiring.webhook_console().list())


@blueprint.function_name("webhooks_get")
@blueprint.route("webhooks/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def one(req: func.HttpRequest) -> func.HttpResponse:
    """One receiver."""
    from services import wiring

    return json_answer(wiring.webhook_console().get(req.route_params["id"]))


@blueprint.function_name("webhooks_update")
@blueprint.route("webhooks/{id}", methods=["PATCH"], auth_level=func.AuthLevel.FUNCTION)
@answers
def update(req: func.HttpRequest) -> func.HttpResponse:
    """Change a receiver."""
    from services import wiring

    return json_answer(wiring.webhook_console().update(req.route_params["id"], req.get_body()))


@blueprint.function_name("webhooks_rotate")
@blueprint.route("webhooks/{id}/rotate", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def rotate(req: func.HttpRequest) -> func.HttpResponse:
    """A new secret, shown here and never again."""
    from services import wiring

    return json_answer(wiring.webhook_console().rotate(req.route_params["id"]))


@blueprint.function_name("webhooks_replay")
@blueprint.route("webhooks/{id}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def replay(req: func.HttpRequest) -> func.HttpResponse:
    """Send the events of a time again."""
    from services import wiring

    return json_answer(wiring.webhook_replay().span(req.route_params["id"], req.get_body()), 202)


@blueprint.function_name("webhooks_replay_one")
@blueprint.route("webhooks/{id}/deliveries/{delivery}/replay", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def replay_one(req: func.HttpRequest) -> func.HttpResponse:
    """Send one delivery again."""
    from services import wiring

    return json_answer(wiring.webhook_replay().one(req.route_params["id"], req.route_params["delivery"]), 202)


@blueprint.function_name("webhooks_remove")
@blueprint.route("webhooks/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
@answers
def remove(req: func.HttpRequest) -> func.HttpResponse:
    """Forget a receiver."""
    from services import wiring

    wiring.webhook_console().remove(req.route_params["id"])
    return func.HttpResponse(status_code=204)


@blueprint.function_name("webhooks_agree")
@blueprint.route("webhooks/{id}/agreement", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def agree(req: func.HttpRequest) -> func.HttpResponse:
    """A receiver agrees later, or a person for it with a browser: the address is the key."""
    return _agreed(req)


@blueprint.function_name("webhooks_agree_by_post")
@blueprint.route("webhooks/{id}/agreement", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def agree_by_post(req: func.HttpRequest) -> func.HttpResponse:
    """The same."""
    return _agreed(req)


def _agreed(req: func.HttpRequest) -> func.HttpResponse:
    from services import wiring

    token = req.params.get("token", "")
    return json_answer(wiring.webhook_console().agree(req.route_params["id"], token, req.headers))


@blueprint.function_name("webhooks_test")
@blueprint.route("webhooks/{id}/test", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def test(req: func.HttpRequest) -> func.HttpResponse:
    """Send a test event."""
    from services import wiring

    return json_answer(wiring.webhook_console().test(req.route_params["id"]), 202)


@blueprint.function_name("webhooks_deliveries")
@blueprint.route("webhooks/{id}/deliveries", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def deliveries(req: func.HttpRequest) -> func.HttpResponse:
    """The newest deliveries with their attempts."""
    from services import wiring

    return json_answer(wiring.webhook_console().deliveries(req.route_params["id"]))


@blueprint.function_name("schemas")
@blueprint.route("schemas", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def schemas(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """The types of events, which are no secret."""
    from services.webhooks.schemas import listed

    return json_answer(listed())


@blueprint.function_name("schemas_one")
@blueprint.route("schemas/{type}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def schema(req: func.HttpRequest) -> func.HttpResponse:
    """The JSON Schema of one of them."""
    from services.webhooks.schemas import schema

    shown = json.dumps(schema(req.route_params["type"]))
    return func.HttpResponse(shown, mimetype="application/schema+json")
