"""Distributions that clash or are cut short, missing libraries, folders; and what fixes them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.doctor import folders as folders_module
from runtime.doctor.distributions import (
    FAMILIES,
    DistributionFacts,
    Installed,
    distribution_facts,
    distribution_findings,
    kept,
)
from runtime.doctor.finding import Finding
from runtime.doctor.folders import (
    FolderFacts,
    folder_facts,
    folder_findings,
    standard_folders,
)
from runtime.doctor.libraries import library_fix, missing_library
from runtime.doctor.place import Place, quoted

BOX = Place(python="/venv/bin/python", packages="apt")
ORIN = replace(BOX, jetson_linux=36, nvidia=True, machine="aarch64")
UV = replace(BOX, has_pip=False)

ORT = Installed(name="onnxruntime", version="1.23.2", folder="/site", files=300)
ORT_GPU = Installed(name="onnxruntime-gpu", version="1.23.0", folder="/site", files=310)
OPENVINO = Installed(name="openvino", version="2026.4.1", folder="/site", files=900)
CV2 = Installed(name="opencv-python", version="5.0.0.93", folder="/site")
HEADLESS = replace(CV2, name="opencv-python-headless")


def judged(
    *installed: Installed, place: Place = BOX, holds: tuple[str, str] | None = None
) -> dict[str, Finding]:
    held = {} if holds is None else {"onnxruntime": holds}
    facts = DistributionFacts(installed=installed, holds=held)
    return {one.name: one for one in distribution_findings(facts, place)}


def test_one_of_each_is_fine() -> None:
    numpy = Installed(name="numpy", version="2.4.6", folder="/site")
    found = judged(ORT, OPENVINO, CV2, numpy, holds=("onnxruntime", "1.23.2"))
    assert {one.status for one in found.values()} == {"ok"}
    assert found["distributions"].message == "numpy 2.4.6"
    assert judged() == {}


def test_two_builds_of_onnxruntime() -> None:
    (clash,) = judged(ORT, ORT_GPU, holds=("onnxruntime-gpu", "1.23.0")).values()
    assert (clash.name, clash.status) == ("onnxruntime clash", "fail")
    assert "onnxruntime 1.23.2 and onnxruntime-gpu 1.23.0 are both installed" in clash.message
    assert "what lies there now is of onnxruntime-gpu 1.23.0" in clash.message
    assert clash.fix == (
        "/venv/bin/python -m pip uninstall --yes onnxruntime onnxruntime-gpu"
        " && /venv/bin/python -m pip install --no-deps onnxruntime==1.23.2"
    )
    (clash,) = judged(ORT, ORT_GPU, place=replace(UV, nvidia=True)).values()
    assert clash.fix == (
        "uv pip uninstall --python /venv/bin/python onnxruntime onnxruntime-gpu"
        " && uv pip install --python /venv/bin/python --no-deps onnxruntime-gpu==1.23.0"
    )


def test_two_builds_on_a_jetson() -> None:
    (clash,) = judged(ORT, ORT_GPU, place=ORIN).values()
    assert clash.fix.endswith(
        "install --no-deps onnxruntime-gpu --index-url https://pypi.jetson-ai-lab.io/jp6/cu126"
    )
    (plain,) = judged(ORT, place=ORIN).values()
    assert (plain.status, "this build knows no GPU" in plain.message) == ("warn", True)
    (unknown,) = judged(ORT, ORT_GPU, place=replace(ORIN, jetson_linux=38)).values()
    assert "NVIDIA'S_WHEELS" in unknown.fix


def test_other_clashes() -> None:
    (clash,) = judged(CV2, HEADLESS).values()
    assert (clash.name, clash.status) == ("cv2 clash", "warn")
    assert clash.fix.endswith("install --no-deps opencv-python==5.0.0.93")
    nightly = replace(OPENVINO, name="openvino-nightly")
    (clash,) = judged(OPENVINO, nightly).values()
    assert (clash.name, clash.status) == ("openvino clash", "fail")


def test_what_does_not_clash() -> None:
    extensions = replace(ORT, name="onnxruntime-extensions")
    assert judged(ORT, extensions)["onnxruntime"].status == "ok"


def test_files_that_are_missing() -> None:
    (found,) = judged(replace(ORT, missing=299)).values()
    assert (found.name, found.status) == ("onnxruntime files", "fail")
    assert found.message == "onnxruntime 1.23.2: 299 of its 300 files are missing in /site"
    assert "--force-reinstall --no-deps onnxruntime==1.23.2" in found.fix
    (found,) = judged(replace(ORT_GPU, missing=1), place=ORIN).values()
    assert "install --force-reinstall --no-deps onnxruntime-gpu --index-url" in found.fix


def test_files_of_another() -> None:
    (found,) = judged(ORT, holds=("onnxruntime-gpu", "1.20.0")).values()
    assert (found.name, found.status) == ("onnxruntime files", "warn")
    assert "its folder holds onnxruntime-gpu 1.20.0" in found.message


def test_one_that_is_installed_twice() -> None:
    (found,) = judged(OPENVINO, replace(OPENVINO, folder="/user", version="2025.1")).values()
    assert (found.name, found.status) == ("openvino twice", "warn")
    assert "(2026.4.1, 2025.1) in /site and /user; the first is used" in found.message


@given(
    names=st.lists(
        st.sampled_from(["onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "ort-nightly"]),
        min_size=2,
        unique=True,
    ),
    nvidia=st.booleans(),
)
def test_any_two_clash_and_one_stays(names: list[str], nvidia: bool) -> None:
    members = [replace(ORT, name=name) for name in names]
    place = replace(BOX, nvidia=nvidia)
    (clash,) = judged(*members, place=place).values()
    assert clash.status == "fail"
    remove, install = clash.fix.split(" && ")
    assert all(name in remove.split() for name in names)
    stays = kept(FAMILIES[0], members, place)
    assert install.endswith(f" {stays.name}=={stays.version}")
    assert (stays.name == "onnxruntime-gpu") >= (nvidia and "onnxruntime-gpu" in names)


def wheel(folder: Path, name: str, version: str, record: tuple[str, ...]) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in record))


def test_what_is_installed_in_a_folder(tmp_path: Path) -> None:
    record = ("onnxruntime/__init__.py", "onnxruntime/capi/gone.so", "../../../bin/tool", "a.pyc")
    wheel(tmp_path, "ONNXRuntime_GPU", "1.20.0", record)
    wheel(tmp_path, "numpy", "2.0", ("numpy/gone.py",))
    wheel(tmp_path, "left-pad", "1.0", ())
    capi = tmp_path / "onnxruntime/capi"
    capi.mkdir(parents=True)
    (capi.parent / "__init__.py").touch()
    (capi / "build_and_package_info.py").write_text(
        "package_name = 'onnxruntime-gpu'\n__version__ = '1.20.0'\ncuda_version = '12.6'\n"
    )
    facts = distribution_facts([str(tmp_path)])
    ort, numpy = sorted(facts.installed, key=lambda one: one.name, reverse=True)
    assert (ort.name, ort.files, ort.missing) == ("onnxruntime-gpu", 2, 1)
    assert (numpy.files, numpy.missing) == (0, 0)
    assert facts.holds == {"onnxruntime": ("onnxruntime-gpu", "1.20.0")}
    assert distribution_facts([str(tmp_path / "none")]) == DistributionFacts()


@pytest.mark.parametrize(
    ("message", "library", "fix"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "libGL.so.1",
            "sudo apt-get install libgl1",
        ),
        (
            "libgthread-2.0.so.0: cannot open shared object file",
            "libgthread-2.0.so.0",
            "sudo apt-get install libglib2.0-0",
        ),
        (
            "Failed to load library libonnxruntime_providers_cuda.so with error:"
            " libcublasLt.so.12: cannot open shared object file: No such file or directory",
            "libcublasLt.so.12",
            "/venv/bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        (
            "libcudnn.so.9: cannot open shared object file",
            "libcudnn.so.9",
            "/venv/bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        (
            "libnvinfer.so.10: cannot open shared object file",
            "libnvinfer.so.10",
            "/venv/bin/python -m pip install 'tensorrt==10.*'",
        ),
        (
            "libcuda.so.1: cannot open shared object file",
            "libcuda.so.1",
            "sudo apt-get install nvidia-driver",
        ),
        (
            "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by x.so)",
            "GLIBC_2.34",
            "",
        ),
        ("libodd.so: cannot open shared object file", "libodd.so", ""),
        ("dlopen: Library not loaded: @rpath/libomp.dylib", "libomp.dylib", ""),
        ("something else", "", ""),
    ],
)
def test_missing_libraries(message: str, library: str, fix: str) -> None:
    assert missing_library(message) == library
    assert library_fix(library, BOX) == fix


def test_missing_libraries_elsewhere() -> None:
    assert library_fix("libcudnn.so.9", ORIN) == "sudo apt-get install nvidia-jetpack"
    docker = replace(BOX, container="docker")
    assert library_fix("libcuda.so.1", docker) == "docker run --gpus all …"
    orin = replace(ORIN, container="docker")
    assert library_fix("libcuda.so.1", orin) == "docker run --runtime nvidia …"
    alpine = replace(BOX, packages="apk", root=True)
    assert library_fix("libGL.so.1", alpine) == "apk add mesa-gl"
    assert library_fix("libGL.so.1", replace(BOX, packages="")) == ""


def test_commands_for_this_environment() -> None:
    assert BOX.here("pip install 'edgecls[cpu]'") == (
        "/venv/bin/python -m pip install 'edgecls[cpu]'"
    )
    assert BOX.here("edgecls sources") == "edgecls sources"
    assert BOX.here("") == ""
    assert "onnxruntime-gpu --index-url" in ORIN.engine("cpu")
    spaced = replace(BOX, python="/my venv/python")
    assert spaced.pip("install", "av") == "'/my venv/python' -m pip install av"
    assert quoted("~/.cache/edgecls") == "~/.cache/edgecls"


def test_folders(tmp_path: Path) -> None:
    cache = tmp_path / "cache/edgecls"
    cache.mkdir(parents=True)
    (cache / "a").write_bytes(b"x" * 1500)
    (tmp_path / "file").touch()
    facts = folder_facts(
        [
            ("cache", cache, "XDG_CACHE_HOME"),
            ("state", tmp_path / "state/edgecls", "XDG_STATE_HOME"),
            ("data", tmp_path / "file/edgecls", "XDG_DATA_HOME"),
            ("temporary", tmp_path, "TMPDIR"),
        ]
    )
    plenty = [replace(one, free=10**9) for one in facts]
    cache_found, state, data, temporary = folder_findings(plenty)
    assert (cache_found.status, cache_found.message) == ("ok", f"{cache}, 1.5 kB, 1.0 GB free")
    assert (state.status, "not made yet" in state.message) == ("ok", True)
    assert not (tmp_path / "state").exists()
    assert (data.status, "is a file" in data.message) == ("warn", True)
    assert temporary.message == f"{tmp_path}, 1.0 GB free"
    assert sorted(path.name for path in cache.iterdir()) == ["a"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    folder = tmp_path / "a/b"
    (finding,) = folder_findings(folder_facts([("cache", folder, "XDG_CACHE_HOME")]))
    assert finding.status == "warn"
    assert finding.message == f"{folder} cannot be made in {tmp_path}: Permission denied"
    assert finding.fix == f'sudo chown -R "$USER" {tmp_path}'


def test_a_folder_on_a_full_disk() -> None:
    facts = FolderFacts(
        use="cache",
        path="/c/edgecls",
        variable="XDG_CACHE_HOME",
        exists=True,
        parent="/c/edgecls",
        free=1_000_000,
    )
    (finding,) = folder_findings([facts])
    assert finding.status == "warn"
    assert finding.message == "/c/edgecls, 0 bytes, 1.0 MB free: less than 200.0 MB"
    assert finding.fix == "XDG_CACHE_HOME=/big/disk edgecls …"
    read_only = replace(facts, problem="Read-only file system")
    (finding,) = folder_findings([read_only])
    assert finding.fix.startswith("XDG_CACHE_HOME=/folder")


def test_standard_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    uses = {use: path for use, path, _ in standard_folders()}
    assert list(uses) == ["cache", "state", "data", "temporary"]
    assert uses["cache"] == tmp_path / "edgecls"
    assert folders_module.folder_size(tmp_path / "none") == 0


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(folders_module, "standard_folders", none)
    (finding,) = folders_module.look_at_folders()
    assert (finding.name, finding.status) == ("home folder", "warn")
    assert finding.fix.startswith("HOME=")


def test_no_temporary_folder_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setenv("TMPDIR", "/gone/away")
    *_, (use, path, variable) = standard_folders()
    assert (use, path, variable) == ("temporary", Path("/gone/away"), "TMPDIR")
