"""A tiny model and a short video for the command-line tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.cli.command import FRAMES
from tests.tiny_models import write_tiny_bundle
from tests.video_files import numbered_picture, write_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = [numbered_picture(index % 32) for index in range(FRAMES)]
    return write_video(tmp_path_factory.mktemp("video") / "numbers.mp4", pictures)


@pytest.fixture
def altered(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(bundle.path, tmp_path / "copy"))
