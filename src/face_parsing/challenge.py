"""The rules of the challenge that the code can check."""

from __future__ import annotations

PARAMETER_LIMIT = 1_821_085
"""The challenge's rule: a model has fewer parameters than this."""

RULES: dict[str, str] = {
    "pretrained": "no pretrained weights: a network is trained from scratch",
    "external_data": "no external data: only the challenge's training pairs",
    "teacher": "no knowledge distillation",
}
"""The challenge's rule that each key of open_track breaks."""
