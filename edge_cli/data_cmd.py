"""`edgecls data`: look at clips before they are used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import LabelsOption, RootOption
from edge_cli.progress import counting
from models.errors import DatasetError

if TYPE_CHECKING:
    from calibration.clip_list import ClipList
    from calibration.clip_rows import Split
    from calibration.dataset_report import DatasetReport

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Check data sets of clips.",
)


@app.callback()
def _data() -> None:
    """Check data sets of clips."""


@app.command("check")
def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|LIST...",
            show_default=False,
            help="A PaddleX data set, lists with lines `path label`, or folders of videos.",
        ),
    ],
    labels: LabelsOption = None,
    val: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|LIST",
            show_default="that of the data set",
            help="The clips for testing.",
        ),
    ] = None,
    frames: Annotated[
        int,
        typer.Option(metavar="T", min=1, help="Frames per clip of the model to be trained."),
    ] = 8,
    root: RootOption = None,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Decode every frame, not just the first of each video."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Also write the report, as PaddleX names its fields, and check_dataset/"
            "histogram.png beside it.",
        ),
    ] = None,
) -> None:
    """Find what is wrong with a data set before hours go into it.

    Missing, unreadable, short and doubled videos, labels that are no class, clips
    that are both trained and tested on, uneven classes. Exit code 12 when there
    are errors.

    Example: edgecls data check dataset/
    """
    from calibration.dataset_check import CheckOptions, check_dataset

    splits = _splits(paths, val=val, labels=labels, root=root)
    total = len({clip.source for clips in splits.values() for clip in clips.clips})
    options = CheckOptions(frames=frames, thorough=thorough)
    with counting("decoding" if thorough else "looking", total) as on_clip:
        found = check_dataset(splits, options, on_clip=on_clip)
    histogram = None if report is None else _write_histogram(found, report)
    text = json.dumps(found.to_json_dict(histogram=histogram), indent=2, ensure_ascii=False) + "\n"
    if report is not None:
        _write_report(text, report)
    if as_json:
        sys.stdout.write(text)
    else:
        from rich.console import Console

        from edge_cli.data_view import show_report

        show_report(found, Console(highlight=False))
    _judge(found, strict=strict)


def _splits(
    paths: list[str], *, val: str | None, labels: Path | None, root: Path | None
) -> dict[Split, ClipList]:
    """The halves; those of a data set from its folder, and class numbers that hold for both."""
    from calibration.clip_list import ListOptions, merged, read_clips
    from calibration.clip_rows import splits_of

    folder = Path(paths[0]).expanduser()
    halves = splits_of(folder) if len(paths) == 1 and folder.is_dir() else {}
    lists: list[ClipList] = []
    if not halves or "train" in halves:
        for path in paths:
            names = next((one.class_names for one in lists if one.class_names), None)
            options = ListOptions(labels=labels, model_names=names, root=root, split="train")
            lists.append(read_clips(path, options))
    splits: dict[Split, ClipList] = {"train": merged(lists)} if lists else {}
    tested = val or (paths[0] if "val" in halves else None)
    if tested is not None:
        names = splits["train"].class_names if lists else None
        options = ListOptions(labels=labels, model_names=names, root=root, split="val")
        splits["val"] = read_clips(tested, options)
    return splits


def _write_histogram(found: DatasetReport, report: Path) -> Path | None:
    """The picture beside the report; where it is, from the report's folder."""
    from calibration.dataset_report import HISTOGRAM
    from calibration.histogram_picture import draw_histogram

    if not any(split.labelled for split in found.splits):
        return None
    path = report.parent / HISTOGRAM
    draw_histogram(path, found.splits, found.class_names)
    sys.stderr.write(f"histogram: {path}\n")
    return HISTOGRAM


def _write_report(text: str, report: Path) -> None:
    from calibration.whole_file import json_bytes, write_whole

    write_whole(report, json_bytes(text))
    sys.stderr.write(f"report: {report}\n")


def _judge(found: DatasetReport, *, strict: bool) -> None:
    """Raise what the exit code is to be."""
    errors, warnings = len(found.of("error")), len(found.of("warning"))
    if errors or (strict and warnings):
        raise DatasetError(
            f"{found.origin} has {errors} error{'s' * (errors != 1)} and"
            f" {warnings} warning{'s' * (warnings != 1)}.",
            hint="The same command with --json lists every one of them.",
        )
