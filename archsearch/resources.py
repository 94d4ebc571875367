"""Where the shipped YAML lies: inside the package when installed from a wheel, beside it in a checkout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml

from archsearch.errors import ConfigError, UnknownNameError

Kind = Literal["search_spaces", "studies"]
_PACKAGE = Path(__file__).resolve().parent
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `5e-4` is a number and no key stands twice; PyYAML reads text, and the last key.

    Keys that a merge (`<<: *other`) brings in may be overridden: that is what it is for.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[yaml.MappingNode] = set()  # flattening twice would take merged keys for written ones

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that is written twice, then bring in the merged ones. Called first for every mapping."""
        if node not in self._checked:
            self._checked.add(node)
            keys: list[Any] = []
            for key_node, _ in node.value:
                if key_node.tag == _MERGE:
                    continue
                key = self.construct_object(key_node, deep=True)
                if key in keys:
                    problem = f"the key '{key}' is there twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                keys.append(key)
        super().flatten_mapping(node)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """The value that a YAML text means. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)


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
        if not path.is_file():
            raise ConfigError(f"no such file: {name_or_path}", hint="give the path of a YAML file, or a shipped name")
        return path
    shipped = list_yaml(kind)
    if name_or_path not in shipped:
        raise UnknownNameError(kind.replace("_", " ").replace("studies", "study").rstrip("s"), name_or_path, shipped)
    return shipped[name_or_path]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError with file, line and column if it is not one."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a mapping of keys was expected, got {type(content).__name__}")
    return content
