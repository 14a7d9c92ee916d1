"""YAML and TOML as a tree of text, with the line of every value.

Numbers stay as they are written, and no word is more than a word: the classes `no`, `007` and the
key `on`, which YAML 1.1 takes for a truth value, are what they look like.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from models.errors import UsageError

if TYPE_CHECKING:
    import yaml

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree] | None"
"""Text, lists and mappings; None where YAML says null."""

Location: TypeAlias = tuple[str | int, ...]
"""Keys and positions from the root to a value."""

MAX_BYTES = 1 << 20

_MOST_DOTS = 200
_BETWEEN_KEYS = re.compile(r"[ ,=\[\]{}]")
_NULLS = ("", "~", "null", "Null", "NULL")
_TOML_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsText:
    """A file of settings, as written.

    Attributes:
        path: Of the file.
        tree: Its content.
        lines: From 1, of every value: that of its key, or of the item of a list. Empty for TOML.
    """

    path: Path
    tree: Tree
    lines: dict[Location, int] = field(default_factory=dict)

    def where(self, location: Location) -> str:
        """File, line and name of a value, e.g. "shop.yml, line 9: streams[1].window".

        Args:
            location: Of the value, below the root. Of one that is not in the file, the line is
                that of the nearest value around it.
        """
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        line = f", line {self.lines[known]}" if known else ""
        name = ""
        for part in location:
            name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
        return f"{self.path}{line}: {name}"


def read_settings(path: Path) -> SettingsText:
    """Read a file that ends in .yml, .yaml or .toml.

    Raises:
        UsageError: It cannot be read, is too large, or is neither; or it has a key twice, or
            anchors.
    """
    suffix = path.suffix.lower()
    if suffix not in (".yml", ".yaml", ".toml"):
        raise UsageError(
            f"{path} is neither YAML nor TOML by its name.", hint="Call it streams.yml."
        )
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES >> 20} MiB: no file of settings.")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: this is not UTF-8 text.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{str(path)!r} cannot be read: {reason}.") from error
    try:
        return _toml(path, text) if suffix == ".toml" else _yaml(path, text)
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply.") from error


def _toml(path: Path, text: str) -> SettingsText:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if _has_long_key(text):
        raise UsageError(f"{path}: this is not TOML: a key of more than {_MOST_DOTS} parts.")
    try:
        return SettingsText(path=path, tree=_as_text(tomllib.loads(text)))
    except ValueError as error:
        message = str(error)
        found = _TOML_LINE.search(message)
        line = f", line {found[1]}" if found else ""
        raise UsageError(
            f"{path}{line}: this is not TOML: {_TOML_LINE.sub('', message)}."
        ) from error


def _has_long_key(text: str) -> bool:
    """Whether a dotted key is so long that the reader, whose work grows as its cube, would hang."""
    packed = " ".join(text.split()).replace(" .", ".").replace(". ", ".")
    return any(word.count(".") > _MOST_DOTS for word in _BETWEEN_KEYS.split(packed))


def _as_text(value: Any) -> Tree:
    if isinstance(value, dict):
        return {key: _as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yaml(path: Path, text: str) -> SettingsText:
    """The reader is the one in Python: that in C crashes on what is nested deeply."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{path}{line}: this is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: this is not YAML: {reason}.") from error
    if root is None:
        return SettingsText(path=path, tree=None)
    walk = _YamlWalk(path)
    return SettingsText(path=path, tree=walk.tree(root, ()), lines=walk.lines)


class _YamlWalk:
    """Turns nodes into a tree; tags have no effect.

    A node that stands in two places is refused: ten lists that each hold the one before ten
    times are small as a file, and large as a tree.
    """

    def __init__(self, path: Path) -> None:
        self.lines: dict[Location, int] = {}
        self._path = path
        self._seen: set[int] = set()

    def tree(self, node: yaml.Node, location: Location) -> Tree:
        """The tree below a node, whose lines are noted."""
        import yaml

        line = node.start_mark.line + 1
        self.lines.setdefault(location, line)
        if id(node) in self._seen:
            raise UsageError(
                f"{self._path}, line {line}: anchors (&) and aliases (*) are not read here.",
                hint="Say what several streams have in common under defaults.",
            )
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.tree(one, (*location, at)) for at, one in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return None if plain and node.value in _NULLS else str(node.value)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> Tree:
        import yaml

        found: dict[str, Tree] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UsageError(f"{self._path}, line {line}: a key must be a word.")
            name = str(key.value)
            if name in found:
                raise UsageError(f"{self._path}, line {line}: {name!r} is there twice.")
            below: Location = (*location, name)
            self.lines[below] = line
            found[name] = self.tree(value, below)
        return found
