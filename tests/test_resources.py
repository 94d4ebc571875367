"""Shipped YAML by name, a user's own by path, and errors that say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.resources import find_yaml, list_yaml, parse_yaml, read_yaml


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_files_are_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "shufflenet_v2" in list_yaml("search_spaces")
    assert {"quickstart", "cifar10", "cifar100", "cifar10_cpu"} <= set(list_yaml("studies"))
    assert find_yaml("studies", "quickstart").is_file()


def test_a_path_works_where_a_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a: 1")
    monkeypatch.chdir(tmp_path)
    for written in (str(path), "mine.yaml", "./mine.yaml"):
        assert read_yaml(find_yaml("studies", written)) == {"a": 1}


def test_an_unknown_name_is_answered_with_the_nearest_shipped_one() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown study 'cifar1O' \(did you mean 'cifar10'"):
        find_yaml("studies", "cifar1O")
    with pytest.raises(UnknownNameError, match="unknown search space 'shuflenet'"):
        find_yaml("search_spaces", "shuflenet")


@pytest.mark.parametrize("name", ["none.yaml", "folder/none", "none.yml"])
def test_a_path_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no such file: {name}"):
        find_yaml("studies", name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 0.0005),
        ("1E3", 1000.0),
        ("-2e+1", -20.0),
        ("1.5e-2", 0.015),
        ("5e", "5e"),
        ("e5", "e5"),
        ("0.5", 0.5),
        ("[1e-1, 3]", [0.1, 3]),
        ("'5e-4'", "5e-4"),
        ("none", "none"),
        ("null", None),
    ],
)
def test_numbers_with_an_exponent_are_numbers(text: str, value: object) -> None:
    found = parse_yaml(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", r"mine\.yaml:3:1: not valid YAML: the key 'a' is there twice"),
        ("proxy:\n  epochs: 1\n  epochs: 2\n", r"mine\.yaml:3:3: .*'epochs' is there twice"),
        ("a: [1, 2\n", r"mine\.yaml:2:1: not valid YAML"),
        ("- a\n- b\n", "a mapping of keys was expected, got list"),
        ("", "a mapping of keys was expected, got NoneType"),
        ("a: !!python/object/apply:os.getcwd []\n", r"mine\.yaml:1:4: not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        read_yaml(write(tmp_path, text))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read"):
        read_yaml(path)
