"""Where the shipped YAML lies: inside the package when installed from a wheel, beside it in a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import Event
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from archsearch.errors import ConfigError, UnknownNameError

Kind = Literal["search_spaces", "studies"]
_PACKAGE = Path(__file__).resolve().parent
_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")}
_COLLECTIONS = {_TAG + "seq", _TAG + "map"}
# Far above any study, far below what makes a machine slow: the largest shipped file has 24,000 characters.
_MOST_CHARACTERS = 200_000
_MOST_BYTES = 10_000_000
_MOST_VALUES = 100_000
_DEEPEST = 50


class _Constructor(SafeConstructor):
    """Dates, `=` and `<<` as values are text, as the core schema of YAML 1.2 has it; the library makes more of them."""


for _name in ("timestamp", "value", "merge"):
    _Constructor.add_constructor(_TAG + _name, SafeConstructor.construct_yaml_str)


class _Composer(Composer):
    """Refuses, before any value is made of the nodes, what the library lets pass and a study never means.

    That is: a key written twice beside a merge, an anchor given twice, a value that holds itself, aliases and merges
    that stand for more than `_MOST_VALUES` values, a tag beside YAML's own plain ones, a key that is no single value,
    and a scalar that its tag cannot be made of. Keys that a merge (`<<: *other`) brings in may be overridden: that is
    what it is for.
    """

    def get_single_node(self) -> Node | None:
        self._anchored: dict[str, Node] = {}
        self._known: dict[Node, tuple[int, int] | None] = {}
        self.warn_double_anchors = False  # refused below
        node: Node | None = super().get_single_node()
        if node is not None:
            self._weigh(node)
        return node

    def compose_document(self) -> Node:
        start = self.parser.peek_event()
        if start.version not in (None, (1, 2)):
            raise _refusal("files are read by YAML 1.2, leave out the line that asks for another version", start)
        node: Node = super().compose_document()
        return node

    def _weigh(self, node: Node) -> tuple[int, int]:
        """How many values a node stands for, aliases written out, and how deep they are nested."""
        if node in self._known:
            known = self._known[node]
            if known is None:
                raise _refusal(f"'{node.anchor}' holds itself", node)
            return known
        self._known[node] = None
        if node.anchor is not None and self._anchored.setdefault(node.anchor, node) is not node:
            raise _refusal(f"the anchor '{node.anchor}' is there twice", node)
        if node.tag not in (_SCALARS if isinstance(node, ScalarNode) else _COLLECTIONS):
            raise _refusal(f"the tag '{str(node.tag).replace(_TAG, '!!')[:40]}' cannot stand here", node)
        if isinstance(node, ScalarNode):
            self._value(node)
            parts: list[Node] = []
        elif isinstance(node, MappingNode):
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value
        weights = [self._weigh(part) for part in parts]
        if isinstance(node, MappingNode):
            self._check_keys(node)
        values = 1 + sum(each for each, _ in weights)
        depth = 1 + max((each for _, each in weights), default=0)
        if values > _MOST_VALUES:
            raise _refusal(f"with its aliases written out it holds more than {_MOST_VALUES} values", node)
        if depth > _DEEPEST:
            raise _refusal(_TOO_DEEP, node)
        self._known[node] = values, depth
        return values, depth

    def _check_keys(self, node: MappingNode) -> None:
        keys = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, ScalarNode):
                raise _refusal("a key must be a single value", key_node)
            key = self._value(key_node)
            if key in keys:
                raise _refusal(f"the key '{key}' is there twice", key_node)
            keys.add(key)

    def _value(self, node: ScalarNode) -> Any:
        try:
            value = self.loader.constructor.construct_object(node)
            str(value).encode()  # half of a surrogate pair cannot be printed, nor an integer of thousands of digits
        except (ValueError, LookupError) as error:
            raise _refusal(f"{node.value[:40]!a} cannot be read as {str(node.tag).removeprefix(_TAG)}", node) from error
        if isinstance(value, str) and "\0" in value:
            raise _refusal("text with a NUL character", node)
        return value


_TOO_DEEP = f"nested more than {_DEEPEST} deep"


def _refusal(problem: str, found: Node | Event) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=found.start_mark)


def parse_yaml(text: str, source: Path | str) -> Any:
    """The value that a text means by YAML 1.2, with merges (`<<`) and without dates.

    Args:
        text: one document.
        source: the file, whose line and column an error then names, or the option that the text was given with.

    Raises ConfigError for what is not valid YAML, for a key that is written twice, and for what no study needs.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer, reader.Constructor, reader.max_depth = _Composer, _Constructor, _DEEPEST
    position = None
    try:
        if len(text) > _MOST_CHARACTERS:
            raise YAMLError(f"it has {len(text)} characters, and {_MOST_CHARACTERS} are the most")
        return reader.load(text)
    except MarkedYAMLError as error:
        cause: Exception = error
        problem = ", ".join(each for each in (error.context, error.problem) if each)
        if isinstance(error, MaxDepthExceededError):
            problem = _TOO_DEEP
        if error.problem_mark is not None:
            position = error.problem_mark.line, error.problem_mark.column
    except ReaderError as error:
        cause, problem = error, f"the character U+{error.character:04X} is not allowed"
        before = text[: error.position]
        position = before.count("\n"), error.position - before.rfind("\n") - 1
    except (YAMLError, AssertionError) as error:  # AssertionError: `%YAML 1.3`
        cause, problem = error, str(error)
    except (ValueError, OverflowError) as error:  # the scanner's chr()
        cause, problem = error, "an escape (\\U...) that is no character of Unicode"
    where = f":{position[0] + 1}:{position[1] + 1}" if position and isinstance(source, Path) else ""
    raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from cause


def yaml_folder(kind: Kind) -> Path:
    """The folder of the shipped files of this kind. Raises ConfigError if the installation lacks it."""
    # Inside first: beside an installed package lies site-packages, where a `studies` is somebody else's.
    for folder in (_PACKAGE / "_yaml" / kind, _PACKAGE.parent / kind):
        if folder.is_dir() and any(folder.glob("*.yaml")):
            return folder
    raise ConfigError(f"the folder '{kind}' of the shipped YAML files is missing", hint="install archsearch again")


def list_yaml(kind: Kind) -> dict[str, Path]:
    """Names of the shipped files of this kind, and where they are."""
    return {path.stem: path for path in sorted(yaml_folder(kind).glob("*.yaml"))}


def user_path(text: str | Path) -> Path:
    """A path as a user writes it, `~` and `~user` replaced. Raises ConfigError where there is no such home folder."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"the home folder in '{text}' is not known", hint="write the path in full") from error


def find_yaml(kind: Kind, name_or_path: str) -> Path:
    """The file that a shipped name or a user's own path means.

    Raises ConfigError for a path that is not there or whose home folder is not known, UnknownNameError for a name that
    is not shipped.
    """
    path = user_path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not is_file(path):
            raise ConfigError(f"no such file: {name_or_path}", hint="give the path of a YAML file, or a shipped name")
        return path
    shipped = list_yaml(kind)
    if name_or_path not in shipped:
        raise UnknownNameError(kind.replace("_", " ").replace("studies", "study").rstrip("s"), name_or_path, shipped)
    return shipped[name_or_path]


def is_file(path: Path) -> bool:
    """Whether it is a regular file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_text(path: Path) -> str:
    """The text of a small file, without a byte order mark at its beginning.

    Raises ConfigError if it cannot be read, is no regular file, has more than `_MOST_BYTES`, or is not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")
        if path.stat().st_size > _MOST_BYTES:
            raise OSError(f"it has {path.stat().st_size:,} bytes, and {_MOST_BYTES:,} are the most")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        what = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {what}") from error


def parse_json(text: str, source: Path | str) -> Any:
    """The value of a JSON text. Raises ConfigError that names the source and the place for what is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits
        raise ConfigError(f"{source}: not valid JSON: {error}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError with file, line and column if it is not one."""
    content = parse_yaml(read_text(path), path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping of keys was expected, got {type(content).__name__}")
    return content
