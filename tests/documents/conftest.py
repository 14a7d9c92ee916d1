"""What the examples of the documents find in the folder they are run in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.bundle import BUILTIN_BUNDLE
from models.motion.demo import demo_drawings, demo_schedule
from tests.checkpoints import weights_by_rule, write_checkpoint
from tests.family_shapes import narrow_pptsmv2
from tests.video_files import write_video


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short films of the camera's moves, alone and as a data set, and a bundle named `pptsmv2`."""
    folder = tmp_path_factory.mktemp("stage")
    pictures = [draw() for _, draw in list(demo_drawings())[:50]]
    write_video(folder / "clip.mp4", pictures)
    (folder / "videos").mkdir()
    for number in range(6):
        write_video(folder / "videos" / f"{number}.mp4", pictures[3 * number : 3 * number + 32])
    videos = folder / "dataset" / "videos"
    shutil.copytree(folder / "videos", videos)
    first = demo_schedule()[0].label
    (folder / "dataset" / "label.txt").write_text(f"0 {first}\n1 pan left\n")
    for name, numbers in (("train", range(3)), ("val", range(3, 6))):
        lines = [f"videos/{number}.mp4 0" for number in numbers]
        (folder / "dataset" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    shutil.copytree(BUILTIN_BUNDLE, folder / "pptsmv2")
    checkpoint = folder / "ppTSMv2_8frames.pdparams"
    write_checkpoint(checkpoint, weights_by_rule(narrow_pptsmv2(frames=8)))
    return folder


@pytest.fixture
def here(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder, with folders of the user's that are its own.

    The cache is that of all pages, so that engines race once.
    """
    folder = Path(shutil.copytree(stage, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(stage.parent / "cache"))
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return folder
