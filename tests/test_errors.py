"""Errors that a person reads: what was wrong, and what to do."""

from __future__ import annotations

import pickle

import pytest

from archsearch import errors
from archsearch.errors import (
    ArchsearchError,
    ConfigError,
    OverrideError,
    StoreError,
    StudyChangedError,
    UnknownNameError,
    last_words,
    nearest,
)

# What torch writes below every error of CUDA: `c10::cuda::get_cuda_check_suffix`, and a last line of older versions.
ADVICE = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)
OLDER_ADVICE = f"{ADVICE}\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"


def test_the_hint_follows_the_message_in_brackets() -> None:
    error = StoreError("the file is gone", hint="give --storage")
    assert str(error) == "the file is gone (give --storage)"
    assert str(StoreError("the file is gone")) == "the file is gone"


@pytest.mark.parametrize(
    ("kind", "code"), [(ArchsearchError, 1), (ConfigError, 2), (StoreError, 1), (StudyChangedError, 2)]
)
def test_a_persons_own_mistakes_end_with_exit_code_two(kind: type[ArchsearchError], code: int) -> None:
    assert kind.exit_code == code


def test_every_error_of_the_module_has_the_one_root() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 5
    assert all(issubclass(kind, ArchsearchError) for kind in kinds)


@pytest.mark.parametrize(
    "error",
    [
        StoreError("the file is gone", hint="give --storage"),
        UnknownNameError("study", "quikstart", ["quickstart"]),
        OverrideError("proxy.epoch", "unknown key", hint="did you mean 'proxy.epochs'?"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_another_process_as_it_was_raised(error: ArchsearchError) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("advice", ["", ADVICE, OLDER_ADVICE, OLDER_ADVICE.replace("CUDA", "HIP")])
def test_the_last_words_of_a_process_name_its_error_and_are_not_torch_s_advice_on_every_error(advice: str) -> None:
    error = "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert last_words(f'Traceback (most recent call last):\n  File "a.py", line 1\n{error}{advice}\n\n') == error
    assert last_words(advice) == "it wrote nothing"


def test_a_name_that_is_near_nothing_gets_no_guess() -> None:
    assert str(UnknownNameError("study", "zzz", ["quickstart"])) == "unknown study 'zzz' (known: quickstart)"
    assert str(UnknownNameError("study", "zzz", [])) == "unknown study 'zzz' (known: none yet)"


def test_many_names_are_not_listed_but_the_command_that_lists_them_is_said() -> None:
    names = [f"name{number:03}" for number in range(100)]
    assert UnknownNameError("plot", "zzz", names, listed_by="archsearch plot").hint == (
        "archsearch plot lists the 100 known names"
    )
    beside = UnknownNameError("choice", "widht", names, listed_by="archsearch describe x", beside=("width", "kernel"))
    assert beside.hint == (
        "did you mean 'width'? archsearch describe x lists the 100 known names; further ones: width, kernel"
    )
    assert UnknownNameError("choice", "zzz", ["b", "c"], beside=("a",)).hint == "known: a, b, c"
    text = str(UnknownNameError("trial", "zzz", names))
    assert "name000" in text and "name050" not in text
    assert "and 88 more" in text  # 12 are listed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shufflenet_v2_x1", "shufflenet_v2_x1_0"),  # as near as x1_5, which comes later
        ("ShuffleNet_V2_X1_5", "shufflenet_v2_x1_5"),
        ("bset", "best"),
        ("shufflnet_v2_x2_0", "shufflenet_v2_x2_0"),
        ("qqq", None),
    ],
)
def test_the_nearest_name_is_meant_and_of_equally_near_ones_the_first(typed: str, meant: str | None) -> None:
    known = ["best", "resnet20", *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0"))]
    assert nearest(typed, known) == meant


def test_the_first_line_of_an_error_is_its_type_where_it_says_nothing() -> None:
    assert errors.first_line(RuntimeError("\n  no memory \nstack ...")) == "no memory"
    assert errors.first_line(AssertionError()) == "AssertionError"
    assert errors.first_line(StoreError("the file is gone", hint="give --storage")) == "the file is gone"
