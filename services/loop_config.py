"""`loop.yaml`: what a user may say of a loop. Every field has a default and a sentence."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from services.config_part import ClassName, Part, Seconds
from services.rollout_config import Endpoint, Promotion, RolloutPolicy
from services.training_config import Training

Coordinates = Literal["auto", "pixels", "normalised"]
Task = Literal["object_detection", "image_classification", "image_classification_multilabel", "instance_segmentation"]


class LabelFiles(Part):
    """How label files are read where their format leaves something open."""

    coordinates: Coordinates = "auto"
    """Unit of boxes in COCO, CSV and Create ML: pixels, or shares of the image; auto goes by what a file proves."""


class Capture(Part):
    """Which predictions' images are kept for people to label: those that the model is unsure about."""

    share: float = Field(0.0, ge=0, le=1)
    """Share of the unsure predictions whose image is kept; 0 keeps none."""
    floor: float = Field(0.2, ge=0, le=1)
    """Detection: a box is unsure from this score on, and noise below it."""
    below: float = Field(0.6, ge=0, le=1)
    """Detection: a box is sure from this score on."""
    margin: float = Field(0.2, gt=0, le=1)
    """Classification: unsure where the best two are closer than this; several: where one is this close to 0.5."""
    classes: list[ClassName] = Field(default_factory=list, max_length=1000)
    """Only where one of these is in doubt; empty: any."""
    per_hour: int = Field(20, ge=1, le=10_000)
    """Images kept an hour, at most."""
    per_day: int = Field(100, ge=1, le=100_000)
    """Images kept a day (UTC), at most."""
    retention_days: float = Field(30, gt=0, le=3650)
    """After so many days an image that nobody has labelled is deleted."""

    @model_validator(mode="after")
    def _floor_is_lower(self) -> Self:
        if self.floor >= self.below:
            raise PydanticCustomError("capture", "a floor that is lower than below")
        return self


class Retention(Part):
    """How long what the loop made is kept."""

    dataset_versions: int = Field(0, ge=0, le=10_000)
    """Dataset versions kept beside those that a run, a rollout or the champion goes by; 0 keeps all."""


class LoopConfig(Part):
    """A loop's policy, as `<loop>/loop.yaml` in the data container."""

    task: Task | None = None
    """What is learnt; null infers it from the labels."""
    classes: list[ClassName] | None = Field(None, max_length=1000)
    """The classes; null takes those in the labels. Labels of other classes are quarantined."""
    labels: LabelFiles = LabelFiles()
    """How label files are read."""
    quiet_period_seconds: Seconds = 60
    """A dataset version waits until nothing was uploaded for this long, so that a burst makes one version."""
    max_wait_seconds: Seconds = 900
    """A dataset version is made after this long even while uploads go on."""
    validation_share: float = Field(0.2, gt=0, lt=0.9)
    """Share of labelled images kept for validation."""
    training: Training = Training()
    """How models are trained."""
    promotion: Promotion = Promotion()
    """When a challenger becomes champion."""
    rollout: RolloutPolicy = RolloutPolicy()
    """How traffic moves to a challenger that was found better."""
    endpoint: Endpoint = Endpoint()
    """The endpoint that serves."""
    capture: Capture = Capture()
    """Which predictions' images are kept for people to label."""
    retention: Retention = Retention()
    """How long what the loop made is kept."""
    paused: bool = False
    """A paused loop reads labels but starts no registration, no training and no rollout; what runs is followed."""
