"""Damaged and hostile `inference.yml` files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.tree_edits import edit_tree

TREE: dict[str, Any] = {
    "Global": {"model_name": "PP-TSMv2-LCNetV2_4frames_uniform"},
    "PreProcess": {
        "transform_ops": [
            {"ReadVideo": {"num_seg": 4}},
            {"Scale": {"short_size": 36}},
            {"CenterCrop": {"target_size": 32}},
            {"Image2Array": None},
            {"NormalizeVideo": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}},
        ]
    },
    "PostProcess": {"Topk": {"topk": 5, "label_list": ["walk", "run", "jump", "sit", "fall"]}},
}


def edit_yaml(rng: Random, canary: Path) -> bytes:
    """An `inference.yml` that is wrong in some way.

    Args:
        rng: Decides everything.
        canary: File that hostile content tries to make.
    """
    import yaml

    honest = yaml.safe_dump(TREE).encode()
    choice = rng.random()
    if choice < 0.55:
        return _dumped(rng, edit_tree(rng, TREE))
    if choice < 0.75:
        return edit_bytes(rng, honest, other=b"- {a: &x [*x, !!int 1]}\n" * 9)
    return rng.choice(_ATTACKS)(rng, canary).encode()


def _dumped(rng: Random, tree: Any) -> bytes:
    """As YAML; or as JSON, which is YAML too, where it is too deep for the one who writes YAML."""
    import yaml

    try:
        text: str = yaml.safe_dump(tree, default_flow_style=rng.random() < 0.3)
    except RecursionError:
        text = json.dumps(tree)
    return text.encode("utf-8", "surrogatepass")


def _object(rng: Random, canary: Path) -> str:
    """Tags that make objects, as `yaml.load` once did for anyone."""
    tag = rng.choice(
        (
            f"!!python/object/apply:os.system ['touch {canary}']",
            f"!!python/object/apply:subprocess.Popen [['touch', '{canary}']]",
            f"!!python/object/new:os.system ['touch {canary}']",
            f'!!python/object/apply:builtins.eval [\'open("{canary}", "w")\']',
            "!!python/name:os.system",
            "!!python/module:os",
            "!<tag:yaml.org,2002:python/object/apply:os.system> ['id']",
            f"!!python/object/apply:pathlib.Path.touch ['{canary}']",
            "!unknown {a: 1}",
            "!!binary '////'",
            "!!set {a, b}",
            "!!omap [a: 1]",
            "!!timestamp 2001-01-01 00:00:00 +99:99",
            "!!int ''",
            "!!float x",
        )
    )
    where = rng.choice(
        ("{}", "Global: {{model_name: {}}}", "PreProcess: {}", "PostProcess: {{Topk: {}}}")
    )
    return where.format(tag)


def _aliases(rng: Random, canary: Path) -> str:
    """Ten lists that each hold the one before ten times."""
    width, depth = rng.choice((2, 10, 50)), rng.choice((5, 12, 30))
    lines = ["a0: &a0 [x, x]"]
    for level in range(1, depth):
        inner = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{inner}]")
    return "\n".join([*lines, f"PostProcess: {{Topk: {{label_list: *a{depth - 1}}}}}"])


def _merges(rng: Random, canary: Path) -> str:
    """The same with mappings that are merged, which some readers do while they read."""
    width, depth = rng.choice((2, 10, 50)), rng.choice((5, 12, 30))
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, depth):
        inner = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} {{<<: [{inner}]}}")
    return "\n".join([*lines, f"Global: *a{depth - 1}"])


def _itself(rng: Random, canary: Path) -> str:
    return rng.choice(
        (
            "&a [*a]",
            "&a {Global: *a}",
            "PreProcess: &p {transform_ops: [*p]}",
            "PostProcess: {Topk: &t {label_list: [*t]}}",
            "? &a {b: *a}\n: x",
            "&a Global: *a",
        )
    )


def _deep(rng: Random, canary: Path) -> str:
    depth = rng.choice((50, 900, 5000, 100_000))
    opening = rng.choice(("[", "{a: ", "- ", "? ", "!!seq ["))
    return "Global: " * (opening[0] in "[{") + opening * depth


def _number(rng: Random, canary: Path) -> str:
    number = rng.choice(
        (
            "1" + ":59" * 3000,
            "0x" + "f" * 20_000,
            "0b" + "1" * 100_000,
            "9" * 6000,
            "1e400",
            ".inf",
            "-.inf",
            ".nan",
            "0o17",
            "017",
            "1_0",
            "2001-02-30",
            "2001-01-01T00:00:00+99:99",
            "9999-12-31 23:59:59 -23:59",
            "8.0",
            "8.5",
            "'8'",
            "yes",
            "~",
        )
    )
    where = rng.choice(
        (
            "Global: {{model_name: {}}}",
            "PreProcess: {{transform_ops: [ReadVideo: {{num_seg: {}}}]}}",
            "PreProcess: {{transform_ops: [Scale: {{short_size: {}}}]}}",
            "PreProcess: {{transform_ops: [CenterCrop: {{target_size: {}}}]}}",
            "PreProcess: {{transform_ops: [NormalizeVideo: {{mean: [{0}, {0}, {0}]}}]}}",
            "PreProcess: {{transform_ops: [NormalizeVideo: {{std: [{0}, {0}, {0}]}}]}}",
            "PostProcess: {{Topk: {{label_list: [{0}, {0}, {0}, {0}, b]}}}}",
            "{}: {}",
        )
    )
    return where.format(number, number)


def _odd(rng: Random, canary: Path) -> str:
    return rng.choice(
        (
            "",
            "\x00",
            "--- a\n--- b\n",
            "%YAML 9.9\n---\na: b",
            "a: b: c",
            "\t- x",
            "*nothing",
            "{a: 1, a: 2}",
            "{[a]: b}",
            "{{a: b}: c}",
            '"\\ud800"',
            "Global: 3",
            "[]",
            "PreProcess: []",
            "PreProcess: {transform_ops: {a: b}}",
            "PreProcess: {transform_ops: [[a, b]]}",
            "PreProcess: {transform_ops: abc}",
            "PostProcess: {Topk: {label_list: abcde}}",
            "PostProcess: {Topk: [a]}",
            "PostProcess: {Topk: {label_list: [a, b, c, d, '']}}",
            "PostProcess: {Topk: {label_list: ['\x1b[2J', b, c, d, e]}}".replace("\x1b", "\\e"),
            'PostProcess: {Topk: {label_list: ["\\e[2J", "\\0", "\\u202e", "\\ud800", "\\n"]}}',
        )
    )


_ATTACKS: tuple[Callable[[Random, Path], str], ...] = (
    *(_object, _aliases, _merges, _itself, _deep, _number, _number, _odd),
)
