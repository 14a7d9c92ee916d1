"""What was asked of an export, checked as far as that goes without the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import UsageError

Server = Literal["triton", "ovms"]
Accelerator = Literal["tensorrt", "openvino"]
Precision = Literal["fp32", "fp16", "int8"]

TRITON_DEVICES = ("auto", "cpu", "gpu")
OPENVINO_DEVICE = re.compile(r"(CPU|NPU|GPU(\.\d+)?|(AUTO|HETERO|MULTI):[A-Z0-9.,]+|AUTO)")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

MOST_CLIPS, MOST_INSTANCES, MOST_DELAY_MS = 1024, 64, 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """One export.

    Attributes:
        server: Which server is to load it.
        output: Folder to make.
        name: What the server calls the model.
        precision: Which graph of the bundle.
        max_batch: Most clips of one request; None for the server's default: 8 for Triton, which
            puts requests together, and 1 for OVMS, which does not.
        instances: How many requests, or batches, are computed at a time.
        device: What runs it: `auto`, `cpu` or `gpu` for Triton, OpenVINO's name of a device for
            OVMS; None for `auto`, or `CPU`.
        accelerator: What Triton's ONNX Runtime hands the graph to; None for itself.
        batch_delay_ms: How long Triton may let a request wait for others; None for 5 ms.
        force: Replace a repository that an export made.

    Raises:
        UsageError: Values out of range, or that do not fit together.
    """

    server: Server
    output: Path
    name: str
    precision: Precision = "fp32"
    max_batch: int | None = None
    instances: int = 1
    device: str | None = None
    accelerator: Accelerator | None = None
    batch_delay_ms: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"A served model is named by letters, digits, '_', '-' and '.', got {self.name!r}.",
                hint="--name pptsmv2",
            )
        _within("--max-batch", 1 if self.max_batch is None else self.max_batch, 1, MOST_CLIPS)
        _within("--instances", self.instances, 1, MOST_INSTANCES)
        _within("--batch-delay", self.batch_delay_ms or 0.0, 0, MOST_DELAY_MS)
        if self.server == "triton":
            self._check_triton()
        else:
            self._check_ovms()

    def _check_triton(self) -> None:
        if self.device is not None and self.device not in TRITON_DEVICES:
            raise UsageError(
                f"Triton runs models on {', '.join(TRITON_DEVICES)}, got {self.device!r}.",
                hint="--device gpu",
            )
        fits = {"tensorrt": "gpu", "openvino": "cpu"}
        if self.accelerator is not None and self.device not in (None, fits[self.accelerator]):
            raise UsageError(
                f"{self.accelerator} runs on the {fits[self.accelerator]}, not on"
                f" --device {self.device}.",
                hint=f"--device {fits[self.accelerator]}",
            )

    def _check_ovms(self) -> None:
        for flag, value in (
            ("--accelerator", self.accelerator),
            ("--batch-delay", self.batch_delay_ms),
        ):
            if value is not None:
                raise UsageError(
                    f"{flag} is for Triton: OpenVINO Model Server has one engine, and computes"
                    " every request by itself."
                )
        if self.device is not None and not OPENVINO_DEVICE.fullmatch(self.device):
            raise UsageError(
                f"{self.device!r} is no name of a device of OpenVINO.", hint="--device GPU"
            )

    @property
    def most_clips(self) -> int:
        """Most clips of one request, if the graph's batch size is free."""
        if self.max_batch is not None:
            return self.max_batch
        return 8 if self.server == "triton" else 1


def _within(flag: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{flag} is {low:g} to {high:g}, got {value:g}.")
