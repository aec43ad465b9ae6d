"""The app settings: read once from the environment, the same names in Azure and on a laptop."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from services.errors import ConfigError

WAKE_QUEUE = "visionloop-wake"
DELIVERY_QUEUE = "visionloop-deliveries"
PREDICTION_QUEUE = "visionloop-predictions"
INBOUND_QUEUE = "visionloop-inbound"

Name = Annotated[str, Field(min_length=1, max_length=255)]


class Settings(BaseModel):
    """One field an app setting; the alias is its name in the environment."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    data_blob_uri: Name = Field(alias="DataStorage__blobServiceUri", description="Account users write to.")
    system_blob_uri: Name = Field(alias="SystemStorage__blobServiceUri", description="Account only we write to.")
    system_queue_uri: Name = Field(alias="SystemStorage__queueServiceUri", description="Queues of wakes, deliveries.")
    data_container: Name = Field("visionloop-data", alias="VISIONLOOP_DATA_CONTAINER")
    system_container: Name = Field("visionloop-system", alias="VISIONLOOP_SYSTEM_CONTAINER")
    subscription_id: Name = Field(alias="VISIONLOOP_SUBSCRIPTION_ID")
    resource_group: Name = Field(alias="VISIONLOOP_RESOURCE_GROUP")
    workspace: Name = Field(alias="VISIONLOOP_WORKSPACE")
    data_datastore: Name = Field("visionloop_data", alias="VISIONLOOP_DATA_DATASTORE")
    system_datastore: Name = Field("visionloop_system", alias="VISIONLOOP_SYSTEM_DATASTORE")
    max_image_bytes: int = Field(20 * 2**20, alias="VISIONLOOP_MAX_IMAGE_BYTES", gt=0)
    max_image_pixels: int = Field(50_000_000, alias="VISIONLOOP_MAX_IMAGE_PIXELS", gt=0)
    trust_image_metadata: bool = Field(
        True,
        alias="VISIONLOOP_TRUST_IMAGE_METADATA",
        description="Whether an image's header is left unread where its uploader says in metadata what is in it",
    )
    max_request_images: int = Field(16, alias="VISIONLOOP_MAX_REQUEST_IMAGES", gt=0, le=1000)
    max_request_bytes: int = Field(64 * 2**20, alias="VISIONLOOP_MAX_REQUEST_BYTES", gt=0)
    max_label_file_bytes: int = Field(1 << 30, alias="VISIONLOOP_MAX_LABEL_FILE_BYTES", gt=0)
    predict_deadline_seconds: float = Field(60.0, alias="VISIONLOOP_PREDICT_DEADLINE_SECONDS", gt=0)
    public_url: str = Field(
        "",
        alias="VISIONLOOP_PUBLIC_URL",
        pattern=r"^(https?://[^\s/?#]+)?$",
        description="Where people reach the app, for links; in Azure the app's own host name where empty.",
    )
    predict_concurrency: int = Field(
        128, alias="VISIONLOOP_PREDICT_CONCURRENCY", gt=0, le=1000,
        description="Predictions under way in one process, each with its image in memory; one more gets 429.",
    )  # fmt: skip
    predict_cache_size: int = Field(
        0, alias="VISIONLOOP_PREDICT_CACHE_SIZE", ge=0, le=100_000,
        description="Answers kept in a process by image and model, so that a repeated image asks no slot; 0 is off.",
    )  # fmt: skip
    predict_most_side: int = Field(
        0, alias="VISIONLOOP_PREDICT_MOST_SIDE", ge=0, le=20_000,
        description="Pixels: a larger image is scaled down before it is sent; 0 sends images as they came.",
    )  # fmt: skip
    prediction_hours: float = Field(
        24.0, alias="VISIONLOOP_PREDICTION_HOURS", gt=0, description="How long predictions made later are kept."
    )
    delivery_log_days: int = Field(
        30, alias="VISIONLOOP_DELIVERY_LOG_DAYS", ge=7, le=3650,
        description="How long after its last attempt a webhook delivery is kept, with what was sent.",
    )  # fmt: skip
    event_topic_endpoint: str = Field(
        "", alias="VISIONLOOP_EVENT_TOPIC_ENDPOINT", pattern=r"^(https://[^\s?#]+)?$",
        description="A custom topic of Event Grid that is told of every event, with /api/events; none where empty.",
    )  # fmt: skip
    event_topic_key: SecretStr = Field(
        SecretStr(""),
        alias="VISIONLOOP_EVENT_TOPIC_KEY",
        description="The topic's access key; the app's identity is taken where it is empty.",
    )
    allow_local_webhooks: bool = Field(
        default=False,
        alias="VISIONLOOP_ALLOW_LOCAL_WEBHOOKS",
        description="Webhook receivers on this machine and plain http; for development only.",
    )
    easy_auth: bool = Field(
        default=False,
        alias="VISIONLOOP_EASY_AUTH",
        description="Take identities that Easy Auth has checked; only where it is on, as else anybody may claim one.",
    )
    identity_per_minute: int = Field(
        600, alias="VISIONLOOP_IDENTITY_PER_MINUTE", ge=0, le=1_000_000_000,
        description="Requests a minute of one identity and loop that each process lets in; 0 is no limit.",
    )  # fmt: skip
    identity_per_day: int = Field(
        0, alias="VISIONLOOP_IDENTITY_PER_DAY", ge=0, le=1_000_000_000,
        description="Requests a day of one identity and loop, over all processes; 0 is no limit.",
    )  # fmt: skip
    machine_prices: str = Field(
        "",
        alias="VISIONLOOP_MACHINE_PRICES",
        description="Prices of machines that train, SIZE=PRICE_PER_HOUR or SIZE=PRICE_PER_HOUR/GPUS, with commas.",
    )
    wake_delay_seconds: float = Field(
        1.0,
        alias="VISIONLOOP_WAKE_DELAY_SECONDS",
        ge=0,
        description="An event looks this much later, so a burst looks once.",
    )
    poll_seconds: float = Field(
        30.0,
        alias="VISIONLOOP_POLL_SECONDS",
        gt=0,
        description="A job, an endpoint or a slot under way is looked at this often, where no event comes sooner.",
    )
    wake_time_limit_seconds: float = Field(
        120.0, alias="VISIONLOOP_WAKE_TIME_LIMIT_SECONDS", gt=0, description="A wake yields after this long."
    )

    @field_validator("machine_prices")
    @classmethod
    def _is_price_list(cls, text: str) -> str:
        if text:
            from services.decisions.budget import read_prices

            try:
                read_prices(text)
            except ValueError:
                raise ValueError("expected SIZE=PRICE or SIZE=PRICE/GPUS, with commas between") from None
        return text


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings of one environment.

    Raises:
        ConfigError: naming every setting that is missing or wrong, without their values.
    """
    fields = Settings.model_fields.values()
    host = environment.get("WEBSITE_HOSTNAME")
    own = {"VISIONLOOP_PUBLIC_URL": f"https://{host}"} if host else {}
    known = own | {str(f.alias): environment[str(f.alias)] for f in fields if environment.get(str(f.alias))}
    try:
        return Settings.model_validate(known)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"App settings are wrong: {found}") from None


@cache
def settings() -> Settings:
    """The settings of this process."""
    return read_settings(os.environ)
