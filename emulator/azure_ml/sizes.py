"""What a region offers: sizes of virtual machines, and how many of their cores a subscription may use.

Names, cores, GPUs and families as Azure lists them; the quota is made up: 100 cores a family, and none of the newest
GPUs, as a new subscription has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.config import PROVIDER, Config

SIZES: tuple[tuple[str, str, int, int, float], ...] = (
    ("Standard_DS2_v2", "standardDSv2Family", 2, 0, 7.0),
    ("Standard_DS3_v2", "standardDSv2Family", 4, 0, 14.0),
    ("Standard_DS4_v2", "standardDSv2Family", 8, 0, 28.0),
    ("Standard_D4s_v3", "standardDSv3Family", 4, 0, 16.0),
    ("Standard_E4s_v3", "standardESv3Family", 4, 0, 32.0),
    ("Standard_F4s_v2", "standardFSv2Family", 4, 0, 8.0),
    ("Standard_NC4as_T4_v3", "Standard NCASv3_T4 Family", 4, 1, 28.0),
    ("Standard_NC8as_T4_v3", "Standard NCASv3_T4 Family", 8, 1, 56.0),
    ("Standard_NC16as_T4_v3", "Standard NCASv3_T4 Family", 16, 1, 110.0),
    ("Standard_NC64as_T4_v3", "Standard NCASv3_T4 Family", 64, 4, 440.0),
    ("Standard_NC6s_v3", "standardNCSv3Family", 6, 1, 112.0),
    ("Standard_NC12s_v3", "standardNCSv3Family", 12, 2, 224.0),
    ("Standard_NC24s_v3", "standardNCSv3Family", 24, 4, 448.0),
    ("Standard_NC24ads_A100_v4", "StandardNCADSA100v4Family", 24, 1, 220.0),
    ("Standard_NC48ads_A100_v4", "StandardNCADSA100v4Family", 48, 2, 440.0),
    ("Standard_ND40rs_v2", "standardNDv2Family", 40, 8, 672.0),
    ("Standard_ND96asr_v4", "standardNDASv4_A100Family", 96, 8, 900.0),
    ("Standard_NC40ads_H100_v5", "StandardNCadsH100v5Family", 40, 1, 320.0),
    ("Standard_NC80adis_H100_v5", "StandardNCadsH100v5Family", 80, 2, 640.0),
)
"""Name, family, cores, GPUs, memory in GB."""
WITHOUT_QUOTA = frozenset({"StandardNCadsH100v5Family"})
CORES = 100


def routes(config: Config) -> Sequence[Route]:
    """Routes of a location; every location offers the same."""
    base = f"/subscriptions/{config.subscription_id}/providers/{PROVIDER}/locations/{{location}}"
    return [
        Route(f"{base}/vmSizes", _sizes, methods=["GET"]),
        Route(f"{base}/usages", _usages, methods=["GET"]),
    ]


async def _sizes(_: Request) -> Response:
    return JSONResponse({"value": [_size(*size) for size in SIZES]})


def _size(name: str, family: str, cores: int, gpus: int, memory: float) -> dict[str, Any]:
    return {
        "name": name,
        "family": family,
        "vCPUs": cores,
        "gpus": gpus,
        "memoryGB": memory,
        "osVhdSizeMB": 1047552,
        "maxResourceVolumeMB": 180224,
        "lowPriorityCapable": True,
        "premiumIO": True,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
    }


async def _usages(_: Request) -> Response:
    families = dict.fromkeys(family for _, family, *_ in SIZES)
    return JSONResponse({"value": [_usage(family) for family in families]})


def _usage(family: str) -> dict[str, Any]:
    limit = 0 if family in WITHOUT_QUOTA else CORES
    name = {"value": family, "localizedValue": f"{family} Cluster Dedicated vCPUs"}
    return {"unit": "Count", "currentValue": 0, "limit": limit, "name": name}
