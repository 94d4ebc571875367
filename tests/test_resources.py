"""Shipped YAML by name, a user's own by path, and errors that say where."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from archsearch import resources
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.resources import find_yaml, list_yaml, parse_yaml, read_yaml

ALIAS_BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))
ALIAS_CHAIN = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_files_are_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "shufflenet_v2" in list_yaml("search_spaces")
    assert {"quickstart", "cifar10", "cifar100", "cifar10_cpu", "cifar100_cpu"} <= set(list_yaml("studies"))
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


def parsed(text: str) -> Any:
    return parse_yaml(text, "a test")


def test_merged_keys_come_in_and_may_be_overridden() -> None:
    text = "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n"
    assert parsed(text) == {"base": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 3}}
    # a merge of a merge, seen before the inner mapping itself is made: its own `b` is no second one
    text = "base: &base {a: 1, b: 2}\ndeep: {inner: &inner {<<: *base, b: 3}}\nlast: {<<: *inner, c: 4}\n"
    assert parsed(text)["last"] == {"a": 1, "b": 3, "c": 4}
    assert parsed(text)["deep"] == {"inner": {"a": 1, "b": 3}}
    assert parsed("x: &x {a: 1}\ny: &y {b: 2}\nz: {<<: [*x, *y]}\n")["z"] == {"a": 1, "b": 2}


def test_of_several_merged_mappings_the_first_that_has_a_key_gives_its_value() -> None:
    """https://yaml.org/type/merge.html: "keys in mapping nodes earlier in the sequence override keys in later ones"."""
    text = "one: &one {key: 1}\ntwo: &two {key: 2, more: 2}\nmine: {<<: [*one, *two]}\nturned: {<<: [*two, *one]}\n"
    assert parsed(text)["mine"] == {"key": 1, "more": 2}
    assert parsed(text)["turned"] == {"key": 2, "more": 2}
    chain = "a: &a {deep: 1, key: 1}\nb: &b {<<: *a, key: 2}\nc: &c {<<: *b, more: 3}\nd: {<<: [*c, *a]}\n"
    assert parsed(chain)["d"] == {"deep": 1, "key": 2, "more": 3}


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
        # YAML 1.2, section 10.3.2: YAML 1.1 reads the first eight as a boolean, 8, 750 and a date
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("010", 10),
        ("12:30", "12:30"),
        ("2026-11-29", "2026-11-29"),
        ("2026-13-45", "2026-13-45"),
        ("0o10", 8),
        ("0x1f", 31),
        ("1_000", 1000),
        ("=", "="),
        ("<<", "<<"),
        ("True", True),
        ("~", None),
        (".inf", float("inf")),
        ("%YAML 1.2\n---\nyes", "yes"),
        ("\ufeff1", 1),  # some editors begin a file so
    ],
)
def test_a_text_has_the_value_that_yaml_1_2_gives_it(text: str, value: object) -> None:
    found = parsed(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", r"mine\.yaml:3:1: not valid YAML: the key 'a' is there twice"),
        ("proxy:\n  epochs: 1\n  epochs: 2\n", r"mine\.yaml:3:3: .*'epochs' is there twice"),
        ("x: &x {a: 1}\ny:\n  b: 1\n  <<: *x\n  b: 2\n", r"mine\.yaml:5:3: .*'b' is there twice"),
        ("a: {1: b, 0x1: c}\n", r"mine\.yaml:1:11: .*'1' is there twice"),
        ("x: &x {a: 1}\ny: {<<: *x, <<: *x}\n", r"mine\.yaml:2:13: .*'<<' is there twice"),
        ("y: {<<: 3}\n", r"mine\.yaml:1:9: not valid YAML: .*for merging"),
        ("y: {<<: [3]}\n", r"mine\.yaml:1:10: not valid YAML: .*for merging"),
        ("y: {<<: *x}\n", r"mine\.yaml:1:9: not valid YAML: .*undefined alias 'x'"),
        ("a: &x 1\nb: &x 2\n", r"mine\.yaml:2:4: .*the anchor 'x' is there twice"),
        ("a: &a [1, *a]\n", r"mine\.yaml:1:4: .*'a' holds itself"),
        ("a: &a {<<: *a}\n", r"mine\.yaml:1:4: .*'a' holds itself"),
        (ALIAS_BOMB, r"mine\.yaml:\d+:\d+: .*holds more than 100000 values"),
        (MERGE_BOMB, r"mine\.yaml:\d+:\d+: .*holds more than 100000 values"),
        (ALIAS_CHAIN, r"mine\.yaml:50:\d+: .*nested more than 50 deep"),
        ("[" * 100_000, r"mine\.yaml:1:51: .*nested more than 50 deep"),
        ("- " * 50_000, r"mine\.yaml:1:101: .*nested more than 50 deep"),
        ("a: 1\n" + "# much\n" * 40_000, r"mine\.yaml: .*280005 characters, and 200000 are the most"),
        ("a: 1\n---\nb: 2\n", r"mine\.yaml:2:1: .*expected a single document"),
        ("%YAML 1.1\n---\na: yes\n", r"mine\.yaml:2:1: .*read by YAML 1\.2"),
        ("%YAML 1.3\n---\na: yes\n", r"mine\.yaml: not valid YAML: version"),
        ("a:\n\tb: 1\n", r"mine\.yaml:2:1: .*cannot start any token"),
        ("a: 1\nbc: \0\n", r"mine\.yaml:2:5: .*U\+0000 is not allowed"),
        ('a: "\\0"\n', r"mine\.yaml:1:4: .*a NUL character"),
        ('a: "\\ud800"\n', r"mine\.yaml:1:4: .*cannot be read as str"),
        ('a: "\\U00110000"\n', r"mine\.yaml: .*no character of Unicode"),
        ("a: -_\n", r"mine\.yaml:1:4: .*'-_' cannot be read as int"),
        (f"a: {'1' * 5000}\n", r"mine\.yaml:1:4: .*cannot be read as int"),
        ("a: !!float x\n", r"mine\.yaml:1:4: .*'x' cannot be read as float"),
        ("a: !!bool x\n", r"mine\.yaml:1:4: .*'x' cannot be read as bool"),
        ("a: !!int ''\n", r"mine\.yaml:1:4: .*'' cannot be read as int"),
        ("a: !!int [1]\n", r"mine\.yaml:1:4: .*the tag '!!int' cannot stand here"),
        ("a: !!set {b}\n", r"mine\.yaml:1:4: .*the tag '!!set' cannot stand here"),
        ("a: !mine 1\n", r"mine\.yaml:1:4: .*the tag '!mine' cannot stand here"),
        ("? [a, b]\n: 1\n", r"mine\.yaml:1:3: .*a key must be a single value"),
        ("? !!seq a\n: 1\n", r"mine\.yaml:1:3: .*the tag '!!seq' cannot stand here"),
        ("null: 1\n~: 2\n", r"mine\.yaml:2:1: .*'None' is there twice"),
        ("a: [1, 2\n", r"mine\.yaml:2:1: not valid YAML"),
        ("- a\n- b\n", "a mapping of keys was expected, got list"),
        ("", "a mapping of keys was expected, got NoneType"),
        ("a: !!python/object/apply:os.getcwd []\n", r"mine\.yaml:1:4: .*'!!python/object/apply:os\.getcwd'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(ConfigError, match=where) as refused:
        read_yaml(write(tmp_path, text))
    assert "\n" not in str(refused.value)
    str(refused.value).encode()


def test_a_wrong_value_of_an_option_is_refused_with_the_option() -> None:
    with pytest.raises(ConfigError, match=r"^--set a=\[1: not valid YAML: while parsing a flow sequence"):
        parse_yaml("[1", "--set a=[1")


def test_whatever_stands_in_a_file_is_a_value_or_an_error_that_names_it() -> None:
    pieces = [
        *"ab01-_.,:;~=%@`!&*#|>?{}[]'\"\\ \n\t\r\0\x85\ufeff", ": ", "- ", "? ", "&x ", "*x ", "<<: ",
        "\\x", "\\U", "|2\n",
        "!!int ", "!!str ", "!!null ", "!!map ", "!!seq ", "!!merge ", "!!timestamp ", "!!value ", "!!bool ", "!<a>",
        "%YAML 1.2\n", "%TAG ! x:\n", "---\n", "...\n", "0x", "0o", "1e5", ".nan", "1:2", "2020-01-01", "true",
    ]  # fmt: skip
    draw = Random(0)
    values = 0
    for _ in range(3000):
        text = "".join(draw.choices(pieces, k=draw.randint(1, 12)))
        try:
            parse_yaml(text, Path("mine.yaml"))
            values += 1
        except ConfigError as error:
            assert str(error).startswith("mine.yaml:"), text
    assert 300 < values < 2700


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read"):
        read_yaml(path)
