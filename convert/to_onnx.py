"""Paddle program to ONNX graph, through Paddle2ONNX."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ConversionError, MissingExtra
from models.extras import extra, import_onnxruntime
from models.messages import telling_line

if TYPE_CHECKING:
    from onnx import ModelProto


def require_exporter() -> None:
    """Fail early, with the way out, where the exporter does not exist.

    Raises:
        MissingExtra: Paddle2ONNX or PaddlePaddle is not installed.
    """
    if sys.version_info >= (3, 13):
        try:
            import paddle2onnx
        except ImportError as error:
            raise MissingExtra(
                "Converting needs Paddle2ONNX, which has no release for Python"
                f" {sys.version_info.major}.{sys.version_info.minor}.",
                hint="Convert with Python 3.10 to 3.12; the bundle then runs on any version:"
                " python3.12 -m venv convert-env",
            ) from error
    with extra("convert", "Converting a checkpoint"):
        import_onnxruntime()
        import onnx  # noqa: F401
        import paddle  # noqa: F401
        import paddle2onnx  # noqa: F401


def onnx_from_program(model: Path, weights: Path, *, opset: int, folder: Path) -> ModelProto:
    """Run the exporter; nothing is optimised or repaired yet.

    Args:
        model: `.json` or `.pdmodel` file.
        weights: `.pdiparams` file.
        opset: ONNX opset of the default domain.
        folder: Scratch folder.

    Raises:
        ConversionError: The exporter failed, or gave another opset than asked for.
    """
    import onnx
    import paddle2onnx

    target = folder / "exported.onnx"
    try:
        paddle2onnx.export(
            str(model),
            str(weights),
            str(target),
            opset_version=opset,
            auto_upgrade_opset=False,
            enable_onnx_checker=True,
            optimize_tool="None",
        )
        exported = onnx.load(str(target))
    except OSError:
        raise  # a full disk is no fault of the exporter
    except (Exception, SystemExit) as error:
        # The exporter logs its own exceptions and then exits, or trips over an unset variable.
        told = error.__context__ if isinstance(error, SystemExit) else error
        if told is None or isinstance(told, UnboundLocalError):
            reason = "it produced no graph"
        else:
            reason = telling_line(told)
        raise ConversionError(
            f"Paddle2ONNX {paddle2onnx.__version__} cannot convert {model.name} at opset {opset}:"
            f" {reason}.",
            hint="Try another --opset (17 is the best tested), or run with --debug for its log.",
        ) from error
    finally:
        target.unlink(missing_ok=True)
    got = next(entry.version for entry in exported.opset_import if entry.domain in {"", "ai.onnx"})
    if got != opset:
        raise ConversionError(
            f"Paddle2ONNX wrote opset {got} instead of {opset}.", hint=f"--opset {got}"
        )
    return exported
