"""What inference servers take as configuration: their published schemas."""

from __future__ import annotations

import importlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def triton_messages() -> ModuleType:
    """`model_config.proto` as Triton's client for Python has it.

    Its package also imports gRPC, which nothing here needs: this one module of it is loaded alone.
    """
    found = importlib.util.find_spec("tritonclient")
    assert found is not None
    assert found.submodule_search_locations is not None
    path = Path(found.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def triton_model(text: str) -> Any:
    """A `config.pbtxt` as the message `ModelConfig`; a field that it does not know is an error."""
    text_format = importlib.import_module("google.protobuf.text_format")
    return text_format.Parse(text, triton_messages().ModelConfig())


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_BY_TENSOR = {"oneOf": [_TEXT, {"type": "object", "additionalProperties": _TEXT}]}


def _one_of_its_own(name: str, inside: dict[str, Any]) -> dict[str, Any]:
    """An object with that one member."""
    return {
        "type": "object",
        "properties": {name: inside},
        "required": [name],
        "additionalProperties": False,
    }


_VERSIONS = {
    "oneOf": [
        _one_of_its_own("all", {"type": "object", "maxProperties": 0}),
        _one_of_its_own("latest", _one_of_its_own("num_versions", {"type": "integer"})),
        _one_of_its_own("specific", _one_of_its_own("versions", {"type": "array"})),
    ]
}

OVMS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["model_config_list"],
    "additionalProperties": False,
    "properties": {
        "model_config_list": {
            "type": "array",
            "items": _one_of_its_own(
                "config",
                {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {
                        "name": _TEXT,
                        "base_path": _TEXT,
                        "batch_size": {"type": ["integer", "string"], "minimum": 0},
                        "graph_path": _TEXT,
                        "subconfig": _TEXT,
                        "model_version_policy": _VERSIONS,
                        "shape": _BY_TENSOR,
                        "layout": _BY_TENSOR,
                        "nireq": _COUNT,
                        "target_device": _TEXT,
                        "allow_cache": {"type": "boolean"},
                        "plugin_config": {
                            "type": "object",
                            "additionalProperties": {
                                "anyOf": [_TEXT, {"type": "boolean"}, {"type": "number"}]
                            },
                        },
                    },
                },
            ),
        }
    },
}
"""What a list of models may hold, as in OpenVINO Model Server of August 2026 (src/schema.cpp); the
other lists that its configuration may hold, of pipelines and loaders, are not written here."""


def ovms_model(text: str) -> dict[str, Any]:
    """The one model of a `config.json`; raises `rapidjson.ValidationError` where it is not valid.

    The server checks it with RapidJSON too.
    """
    rapidjson = importlib.import_module("rapidjson")
    rapidjson.Validator(json.dumps(OVMS_SCHEMA))(text)
    (entry,) = json.loads(text)["model_config_list"]
    return dict(entry["config"])
