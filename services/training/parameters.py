"""What AutoML for images can be told, by task: the names of its parameters and its metrics.

Source: `set_training_parameters` of azure-ai-ml's image jobs (a test compares), and
https://learn.microsoft.com/azure/machine-learning/reference-automl-images-hyperparameters
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loop_config checks itself with this module
    from services.loop_config import Task


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON = _names(
    "advanced_settings ams_gradient beta1 beta2 checkpoint_frequency checkpoint_run_id distributed early_stopping "
    "early_stopping_delay early_stopping_patience enable_onnx_normalization evaluation_frequency "
    "gradient_accumulation_step layers_to_freeze learning_rate learning_rate_scheduler model_name momentum nesterov "
    "number_of_epochs number_of_workers optimizer random_seed step_lr_gamma step_lr_step_size training_batch_size "
    "validation_batch_size warmup_cosine_lr_cycles warmup_cosine_lr_warmup_epochs weight_decay"
)
_CLASSIFICATION = _COMMON | _names("training_crop_size validation_crop_size validation_resize_size weighted_loss")
_DETECTION = _COMMON | _names(
    "box_detections_per_image box_score_threshold image_size max_size min_size model_size multi_scale "
    "nms_iou_threshold tile_grid_size tile_overlap_ratio tile_predictions_nms_threshold validation_iou_threshold "
    "validation_metric_type log_training_metrics log_validation_loss"
)

PARAMETERS: dict[Task, frozenset[str]] = {
    "object_detection": _DETECTION,
    "instance_segmentation": _DETECTION,
    "image_classification": _CLASSIFICATION,
    "image_classification_multilabel": _CLASSIFICATION,
}

PRIMARY_METRICS: dict[Task, tuple[str, ...]] = {
    "object_detection": ("mean_average_precision",),
    "instance_segmentation": ("mean_average_precision",),
    "image_classification": (
        "accuracy",
        "auc_weighted",
        "average_precision_score_weighted",
        "norm_macro_recall",
        "precision_score_weighted",
    ),
    "image_classification_multilabel": (
        "iou",
        "accuracy",
        "auc_weighted",
        "average_precision_score_weighted",
        "norm_macro_recall",
        "precision_score_weighted",
    ),
}
"""Metrics that trials can be ranked by; the first is the task's usual one."""


def known_parameters(task: Task | None) -> frozenset[str]:
    """Names of parameters for the task; for None, of any task."""
    return frozenset().union(*PARAMETERS.values()) if task is None else PARAMETERS[task]


def known_metrics(task: Task | None) -> tuple[str, ...]:
    """Metrics for the task; for None, of any task, each once."""
    every = [m for metrics in PRIMARY_METRICS.values() for m in metrics]
    return tuple(dict.fromkeys(every)) if task is None else PRIMARY_METRICS[task]
