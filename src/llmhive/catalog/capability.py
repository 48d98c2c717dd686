"""What a model can do, by name: every parameter it supports, and what its modalities make possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Capability → the column and the value that make it.
NAMED: dict[str, tuple[str, str]] = {
    "vision": ("input_modalities", "image"),
    "file_input": ("input_modalities", "file"),
    "audio_input": ("input_modalities", "audio"),
    "video_input": ("input_modalities", "video"),
    "image_output": ("output_modalities", "image"),
    "audio_output": ("output_modalities", "audio"),
    "video_output": ("output_modalities", "video"),
    "embeddings": ("output_modalities", "embeddings"),
    "json_mode": ("supported_parameters", "response_format"),
}


def capabilities(row: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities of a row of the catalog."""
    named = (name for name, (column, value) in NAMED.items() if value in row[column])
    return frozenset((*row["supported_parameters"], *named))
