"""Builds the one MLClient of a process, and what its calls have in common: errors, names.

azure-ai-ml takes more than a second to import, so nothing of it is imported before the first call.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from services.cloud.identity import credential
from services.cloud.upstream import clean, upstream_error
from services.errors import Upstream, UpstreamRefused, UpstreamTimeout, VisionloopError
from services.settings import Settings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CLIENT_OPTIONS: dict[str, Any] = {
    "enable_telemetry": False,
    "show_progress": False,
    # A busy Azure is told to the controller, which comes again later; the SDK would sleep while the lease is held.
    "retry_total": 1,
    "retry_status": 0,
    "retry_backoff_factor": 0.2,
    "connection_timeout": 10,
    "read_timeout": 60,
}
_NOISY = {
    "azure.ai.ml._utils._experimental": logging.ERROR,
    "azure.ai.ml._telemetry": logging.CRITICAL,  # tells every call, and every 404 as an error
    "azure.core.pipeline.policies.http_logging_policy": logging.WARNING,
}


def load_sdk() -> None:
    """Import what is used of azure-ai-ml; its schemas are defined in a way that marshmallow deprecates, loudly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from azure.ai.ml import automl, entities, sweep  # noqa: F401


def build_client(settings: Settings) -> MLClient:
    """The client of the settings' workspace. `ARM_CLOUD_METADATA_URL` points it at another cloud."""
    load_sdk()
    from azure.ai.ml import MLClient

    if "ARM_CLOUD_METADATA_URL" in os.environ:
        # The SDK leaves this behind, and would trust an inherited one more than the metadata.
        os.environ.pop("AZUREML_CURRENT_CLOUD", None)
    scope = settings.subscription_id, settings.resource_group, settings.workspace
    client = MLClient(credential(), *scope, **_CLIENT_OPTIONS)
    for name, level in _NOISY.items():  # afterwards, as the client sets levels of its own
        logging.getLogger(name).setLevel(level)
    return client


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn every error of the SDK into ours; `what` says what was asked for."""
    from azure.core import exceptions as azure

    try:
        yield
    except VisionloopError:
        raise
    except azure.ClientAuthenticationError as error:
        raise Upstream(f"{what}: Azure does not accept the app's identity") from error
    except azure.HttpResponseError as error:
        raise _http_error(error, what) from error
    except (azure.ServiceRequestTimeoutError, azure.ServiceResponseTimeoutError) as error:
        raise UpstreamTimeout(f"{what}: Azure did not answer in time") from error
    except (azure.ServiceRequestError, azure.ServiceResponseError) as error:
        raise Upstream(f"{what}: Azure could not be reached: {type(error).__name__}") from error
    except azure.AzureError as error:  # the SDK's own validation: it refuses before it asks
        raise UpstreamRefused(f"{what}: {clean(str(error.message))}") from error


def _http_error(error: Any, what: str) -> VisionloopError:
    said = getattr(error.error, "message", None) or error.reason or ""
    if error.response is None:
        return Upstream(f"{what}: {clean(str(said))}")
    return upstream_error(int(error.status_code), error.response.headers, what, str(said))
