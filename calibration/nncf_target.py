"""Quantize for OpenVINO with NNCF, and save in OpenVINO's own format."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from calibration.clip_set import ClipSet, StoredClip
from calibration.report import Recipe
from models.errors import CalibrationError
from models.extras import extra, import_openvino, without_openvino_telemetry
from runtime.backends.openvino import shared_core
from runtime.session import Tensor


def require_nncf() -> tuple[Any, Any]:
    """Import NNCF and OpenVINO.

    Raises:
        MissingExtra: One of them is not installed.
    """
    with extra("int8", "Quantizing for OpenVINO"):
        openvino = import_openvino()
        with without_openvino_telemetry():
            import nncf
    return nncf, openvino


class NncfWriter:
    """Writes INT8 graphs in OpenVINO's format.

    Args:
        source: The fp32 ONNX graph.
        clips: Holds the clips.
        samples: Clips that ranges are read off.

    Raises:
        MissingExtra: NNCF or OpenVINO is not installed.
    """

    def __init__(self, source: Path, clips: ClipSet, samples: Sequence[StoredClip]) -> None:
        self._nncf, self._openvino = require_nncf()
        self._source = source
        self._clips = clips
        self._samples = samples
        self.name = f"nncf {self._nncf.__version__}"

    def write(self, recipe: Recipe, path: Path) -> Path:
        """Quantize and save.

        NNCF reads ranges its own way: `minmax` is the mean over clips of their extremes,
        `percentile` the mean of their quantiles. Weights are per channel, activations unsigned
        where they are never negative.

        Args:
            recipe: `fp32_layers` are ONNX nodes; its method is used, the rest is NNCF's own.
            path: `.xml` to write; the weights go beside it, as `.bin`.

        Raises:
            CalibrationError: NNCF gave up.
        """
        nncf = self._nncf
        core = shared_core(self._openvino)
        try:
            with _quiet(nncf):
                model = core.read_model(str(self._source))
                made = nncf.quantize(
                    model,
                    nncf.Dataset(_Reusable(self._clips, self._samples)),
                    subset_size=len(self._samples),
                    ignored_scope=nncf.IgnoredScope(
                        names=_operations(model, recipe.fp32_layers), validate=False
                    ),
                    advanced_parameters=self._parameters(recipe),
                )
                self._openvino.save_model(made, str(path), compress_to_fp16=False)
        except Exception as error:
            raise CalibrationError(f"NNCF cannot quantize the graph: {error}.") from error
        return path

    def _parameters(self, recipe: Recipe) -> Any:
        advanced = self._nncf.AdvancedQuantizationParameters()
        if recipe.method == "percentile":
            estimator = self._nncf.quantization.range_estimator
            advanced.activations_range_estimator_params = (
                estimator.RangeEstimatorParametersSet.MEAN_NO_OUTLIERS_MINMAX
            )
        return advanced


class _Reusable:
    """The clips, as often as NNCF goes through them."""

    def __init__(self, clips: ClipSet, samples: Sequence[StoredClip]) -> None:
        self._clips = clips
        self._samples = samples

    def __iter__(self) -> Iterator[Tensor]:
        return self._clips.tensors(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def _operations(model: Any, nodes: Sequence[str]) -> list[str]:
    """OpenVINO's names of what it made of ONNX nodes: `Conv_3`, or `Conv_3/WithoutBiases`."""
    wanted = set(nodes)
    return [
        operation.get_friendly_name()
        for operation in model.get_ordered_ops()
        if operation.get_friendly_name().split("/")[0].removesuffix(".out") in wanted
        and operation.get_type_name() != "Constant"
    ]


@contextlib.contextmanager
def _quiet(nncf: Any) -> Iterator[None]:
    """NNCF draws progress bars on stdout."""
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
