"""The devices that OpenVINO finds, and what keeps it from an Intel GPU that is there."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.doctor.child import Answer
from runtime.doctor.finding import Finding
from runtime.doctor.place import Place
from runtime.doctor.render_nodes import INTEL, NodeFacts


def device_findings(answer: Answer, nodes: NodeFacts, place: Place) -> Iterator[Finding]:
    """Judge them; nothing is found where OpenVINO does not load, which its backend tells.

    Args:
        answer: To the question "openvino".
        nodes: Device files of GPUs and NPUs.
        place: Where it was given.
    """
    value = dict(answer.value or {})
    if "devices" not in value:
        return
    devices: dict[str, str] = value["devices"]
    listed = ", ".join(f"{name} ({words})" for name, words in devices.items()) or "no device"
    message = f"OpenVINO {value['version']} finds {listed}"
    kinds = {name.split(".")[0] for name in devices}
    usable = [node.path for node in nodes.nodes if node.vendor == INTEL and node.usable]
    for kind, folder, packages in (
        ("GPU", "/dev/dri/", ("intel-opencl-icd", "intel-compute-runtime")),
        ("NPU", "/dev/accel/", ("", "")),
    ):
        if kind not in kinds and any(path.startswith(folder) for path in usable):
            yield Finding(
                name="openvino devices",
                status="note",
                message=f"{message}; not the Intel {kind}, whose compute driver is not installed",
                fix=place.system(*packages) if packages[0] else "",
                facts=value,
            )
            return
    yield Finding(name="openvino devices", status="ok", message=message, facts=value)
