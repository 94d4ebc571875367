"""Shipped YAML by name, a user's own by path, and errors that say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch import resources
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


def test_the_home_folder_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"home folder in '~nouser-at-all/x\.yaml' is not known"):
        find_yaml("studies", "~nouser-at-all/x.yaml")


def test_files_inside_the_package_win_over_a_folder_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "archsearch"
    foreign, own = package.parent / "studies", package / "_yaml" / "studies"
    for folder in (foreign, own):
        folder.mkdir(parents=True)
        write(folder, "a: 1")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert find_yaml("studies", "mine") == own / "mine.yaml"
    (own / "mine.yaml").unlink()  # a checkout has them beside the package alone
    assert find_yaml("studies", "mine") == foreign / "mine.yaml"


def test_merged_keys_come_in_and_may_be_overridden() -> None:
    text = "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n"
    assert parse_yaml(text) == {"base": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 3}}
    # a merge of a merge, seen before the inner mapping itself is made: its own `b` is no second one
    text = "base: &base {a: 1, b: 2}\ndeep: {inner: &inner {<<: *base, b: 3}}\nlast: {<<: *inner, c: 4}\n"
    assert parse_yaml(text)["last"] == {"a": 1, "b": 3, "c": 4}
    assert parse_yaml(text)["deep"] == {"inner": {"a": 1, "b": 3}}
    assert parse_yaml("x: &x {a: 1}\ny: &y {b: 2}\nz: {<<: [*x, *y]}\n")["z"] == {"a": 1, "b": 2}


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
        ("x: &x {a: 1}\ny:\n  b: 1\n  <<: *x\n  b: 2\n", r"mine\.yaml:5:3: .*'b' is there twice"),
        ("y: {<<: 3}\n", r"mine\.yaml:1:9: not valid YAML"),
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
