from __future__ import annotations

import pytest

from services.errors import ConfigError
from services.settings import Settings, read_settings

GOOD = {
    "DataStorage__blobServiceUri": "https://data.example",
    "SystemStorage__blobServiceUri": "https://system.example",
    "SystemStorage__queueServiceUri": "https://queue.example",
    "VISIONLOOP_SUBSCRIPTION_ID": "s",
    "VISIONLOOP_RESOURCE_GROUP": "g",
    "VISIONLOOP_WORKSPACE": "w",
}


def test_what_has_no_default_suffices() -> None:
    assert read_settings(GOOD).data_container == "visionloop-data"


def test_every_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({})
    assert all(name in caught.value.detail for name in GOOD)


def test_a_wrong_setting_is_named_without_its_value() -> None:
    with pytest.raises(ConfigError, match="VISIONLOOP_MAX_IMAGE_BYTES") as caught:
        read_settings({**GOOD, "VISIONLOOP_MAX_IMAGE_BYTES": "a-secret-by-mistake"})
    assert "a-secret-by-mistake" not in caught.value.detail


def test_an_empty_setting_is_one_that_is_not_set() -> None:
    assert read_settings({**GOOD, "VISIONLOOP_MAX_IMAGE_BYTES": ""}).max_image_bytes == 20 * 2**20


def test_every_setting_has_a_name_in_the_environment() -> None:
    assert all(field.alias for field in Settings.model_fields.values())
