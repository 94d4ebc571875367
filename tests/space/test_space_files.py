"""A wrong YAML file is refused with the file, the key, what was got and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.errors import ConfigError
from archsearch.space import load_space

HEAD = "name: mine\nfamily: shufflenet_v2\n"
KERNEL = "  kernel: {values: [3, 5], source: paper}\n"

WRONG = {
    "not a mapping": ("- 1\n", ["a mapping of keys was expected"]),
    "not YAML": ("name: [\n", ["not valid YAML", ":2:"]),
    "no family": ("name: mine\nchoices:\n" + KERNEL, ["the key 'family' is missing"]),
    "unknown family": (
        "name: mine\nfamily: shuflenet_v2\nchoices:\n" + KERNEL,
        ["family:", "shuflenet_v2", "did you mean"],
    ),
    "no choices": (HEAD, ["the key 'choices' is missing"]),
    "empty choices": (HEAD + "choices: {}\n", ["choices: must be of at least 1 value, got {}"]),
    "unknown key": (HEAD + "choises: {}\nchoices:\n" + KERNEL, ["unknown key 'choises'", "did you mean 'choices'?"]),
    "unknown key of a choice": (
        HEAD + "choices:\n  kernel: {values: [3], source: x, low: 3}\n",
        ["unknown key 'choices.kernel.low'", "known keys: source, values"],
    ),
    "no source": (HEAD + "choices:\n  kernel: {values: [3, 5]}\n", ["the key 'choices.kernel.source' is missing"]),
    "values not a list": (
        HEAD + "choices:\n  kernel: {values: 3, source: x}\n",
        ["choices.kernel.values: must be a list, got 3"],
    ),
    "an empty name": (
        "name: ''\nfamily: shufflenet_v2\nchoices:\n" + KERNEL,
        [": name: must be of at least 1 character, got ''"],
    ),
    "an unknown key of a choice, one letter off": (
        HEAD + "choices:\n  kernel: {values: [3], source: x, sorce: y}\n",
        ["unknown key 'choices.kernel.sorce'", "did you mean 'choices.kernel.source'?"],
    ),
    "empty values": (HEAD + "choices:\n  kernel: {values: [], source: x}\n", ["choices.kernel.values: no values"]),
    "a duplicate value": (
        HEAD + "choices:\n  kernel: {values: [3, 5, 3], source: x}\n",
        ["choices.kernel.values[2]: 3", "values[0]"],
    ),
    "a duplicate by another spelling": (
        HEAD + "choices:\n  width: {values: [1, 1.0], source: x}\n",
        ["choices.width.values[1]: 1.0", "values[0]"],
    ),
    "a value out of range": (
        HEAD + "choices:\n  stage3.kernel: {values: [3, 5, 9], source: x}\n",
        ["choices.stage3.kernel.values[2]", "9", "3", "7"],
    ),
    "a value that is a mapping": (
        HEAD + "choices:\n  kernel: {values: [3, {a: 1}], source: x}\n",
        ["choices.kernel.values[1]", "dict"],
    ),
    "true for a number": (
        HEAD + "choices:\n  kernel: {values: [3, true], source: x}\n",
        ["choices.kernel.values[1]"],
    ),
    "an unknown choice": (
        HEAD + "choices:\n  stage3.kernal: {values: [3, 5], source: x}\n",
        ["choices.stage3.kernal: unknown choice", "did you mean 'stage3.kernel'"],
    ),
    "a macro and one of its stages": (
        HEAD + "choices:\n" + KERNEL + "  stage2.kernel: {values: [3, 5], source: x}\n",
        ["choices.stage2.kernel", "choices.kernel", "stage2.kernel"],
    ),
    "two macros": (
        HEAD + "choices:\n  width: {values: [0.5, 1], source: x}\n  stage2.channels: {values: [48, 96], source: x}\n",
        ["choices.stage2.channels", "choices.width"],
    ),
    "a fixed choice that is also chosen": (
        HEAD + "fixed: {kernel: 5}\nchoices:\n  stage2.kernel: {values: [3, 5], source: x}\n",
        ["choices.stage2.kernel", "fixed.kernel"],
    ),
    "a wrong fixed value": (HEAD + "fixed: {stem.kernel: 11}\nchoices:\n" + KERNEL, ["fixed.stem.kernel", "11"]),
    "an unknown fixed choice": (
        HEAD + "fixed: {stem.pol: false}\nchoices:\n" + KERNEL,
        ["fixed.stem.pol", "did you mean 'stem.pool'"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_file_and_key(case: str, tmp_path: Path) -> None:
    text, said = WRONG[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_space(str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    for part in said:
        assert part in message


def test_a_users_own_file_works_where_a_name_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "fixed: {stem.pool: false}\nchoices:\n" + KERNEL, encoding="utf-8")
    space = load_space(str(path))
    assert (space.name, space.size, dict(space.fixed)) == ("mine", 2, {"stem.pool": False})
    assert space.domains[0].source == "paper"
    assert space.spec({"kernel": 5}).choices()["stage4.kernel"] == 5


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no such file: nowhere/mine\.yaml"):
        load_space("nowhere/mine.yaml")
