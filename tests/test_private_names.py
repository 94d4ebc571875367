"""No use of another library's private names but those listed here, each with the test that fails when it changes."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import archsearch

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "archsearch").rglob("*.py"))


@dataclass(frozen=True)
class Reason:
    """Why a private name is used, and `file::test` of what fails where the library drops or changes it."""

    why: str
    test: str


LISTED = {
    ("archsearch/cost/count.py", "_DEFAULT_SUPPORTED_OPS"): Reason(
        "fvcore's own table has no public name; a second analysis of each network would take twice as long",
        "tests/cost/test_conventions.py::test_fvcores_convention_is_what_fvcore_says",
    ),
    ("archsearch/cost/memory.py", "_python_dispatch"): Reason(
        "the only module that has TorchDispatchMode; torch's notes on extending it name this path",
        "tests/cost/test_memory.py::test_an_operator_reads_and_writes_its_tensors_once",
    ),
    ("archsearch/cost/memory.py", "_schema"): Reason(
        "which arguments an operator writes; nothing public says so",
        "tests/cost/test_memory.py::test_an_operator_reads_and_writes_its_tensors_once",
    ),
    ("archsearch/cost/memory.py", "_cdata"): Reason(
        "which storage a tensor lies in; data_ptr() is 0 for every empty one and on the meta device",
        "tests/cost/test_memory.py::test_an_operator_reads_and_writes_its_tensors_once",
    ),
    ("archsearch/latency/backends/fold.py", "_forward_hooks"): Reason(
        "a layer with a hook must not be folded; hooks can be added in public, not read",
        "tests/latency/test_latency_backends.py::test_what_cannot_be_folded_is_left_alone",
    ),
    ("archsearch/models/named_weights.py", "_python_dispatch"): Reason(
        "as in archsearch/cost/memory.py",
        "tests/models/test_models_named_weights.py::test_networks_that_differ_in_a_kernel_share_every_other_weight",
    ),
    ("archsearch/models/modules/shufflenet_v2.py", "_forward_hooks"): Reason(
        "a unit with a hook must be called; hooks can be added in public, not read",
        "tests/training/test_training_fast_form.py::test_a_unit_with_a_hook_is_called_and_gives_the_same",
    ),
    ("archsearch/models/modules/shufflenet_v2.py", "_forward_pre_hooks"): Reason(
        "as the hooks after a call",
        "tests/training/test_training_fast_form.py::test_a_unit_with_a_hook_is_called_and_gives_the_same",
    ),
    ("archsearch/search/optuna_study.py", "_get_trials"): Reason(
        "Optuna's samplers read a study through it alone, and must not see each constraint twice",
        "tests/search/test_search_samplers.py::"
        "test_what_hides_the_old_list_of_constraints_is_what_optunas_samplers_read",
    ),
    ("archsearch/training/calibration.py", "_is_mkldnn_bf16_supported"): Reason(
        "whether oneDNN has bfloat16 kernels on this CPU; nothing public says so",
        "tests/training/test_training_calibration.py::test_torch_says_whether_it_has_bfloat16_kernels_here",
    ),
    ("archsearch/training/step.py", "_dynamo"): Reason(
        "what torch.compile raises has no public name; RuntimeError would take in a GPU that is out of memory",
        "tests/training/test_training_compiled.py::test_a_network_that_cannot_be_compiled_is_an_error_that_says_why",
    ),
    ("archsearch/training/distributed.py", "_BatchNorm"): Reason(
        "the base of batch normalisations for maps and for vectors, with the types of what they hold",
        "tests/training/test_training_distributed.py::test_two_processes_take_the_steps_of_one",
    ),
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name.strip("_") != ""


def own_names(tree: ast.AST) -> Iterator[str]:
    """What a file defines itself: functions, classes, variables, and attributes that it sets on `self` or `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            yield node.attr


def foreign_names(source: str, own: frozenset[str]) -> set[str]:
    """The private names in a file that are no part of this package: imported, or attributes of something.

    An attribute of `super()` is a library's unless the package defines it: `inherited_names` looks at those, too.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] != "archsearch":
            found.update((node.module or "").split("."))
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr not in own:
            found.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
            texts = [each.value for each in node.args[1:2] if isinstance(each, ast.Constant)]
            found.update(text for text in texts if isinstance(text, str) and text not in own)
    return {name for name in found if is_private(name)}


def inherited_names(kind: type) -> set[str]:
    """The private names of a class of ours that a library's class above it defines, too: they are overridden."""
    above = [base for base in kind.__mro__[1:] if base.__module__.split(".")[0] not in ("archsearch", "builtins")]
    return {name for name in vars(kind) if is_private(name) and any(name in vars(base) for base in above)}


def classes() -> Iterator[type]:
    for module in pkgutil.walk_packages(archsearch.__path__, "archsearch."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name:
                yield kind


def test_private_names_of_other_libraries_are_those_of_the_list() -> None:
    own = frozenset(name for path in FILES for name in own_names(ast.parse(path.read_text(encoding="utf-8"))))
    # Overridden ones are defined here as well, and still a library's.
    overridden = {
        (Path(inspect.getfile(kind)).resolve().relative_to(ROOT).as_posix(), name)
        for kind in classes()
        for name in inherited_names(kind) & own  # and not what a metaclass puts there
    }
    used = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in FILES
        for name in foreign_names(path.read_text(encoding="utf-8"), own)
    }
    found = used | overridden
    assert sorted(found - set(LISTED)) == [], "has it no public way? Else list it, with a test that fails when it goes"
    assert sorted(set(LISTED) - found) == [], "no longer used: take it out of the list"


@pytest.mark.parametrize("reason", LISTED.values(), ids=[" ".join(key) for key in LISTED])
def test_a_listed_name_has_a_test_that_fails_when_the_library_changes(reason: Reason) -> None:
    file, test = reason.test.split("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert test in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import torch._dynamo", {"_dynamo"}),
        ("from torch._C import Graph", {"_C"}),
        ("from optuna.study import _create", {"_create"}),
        ("def f(module):\n    return module._modules", {"_modules"}),
        ("class A(B):\n    def f(self):\n        return self._hidden", {"_hidden"}),
        ("getattr(study, '_storage')", {"_storage"}),
        ("x.f(y._a._b)", {"_a", "_b"}),
        ("from archsearch.models import _own\nx._known\nx.__class__\nfor _ in y:\n    pass", set()),
    ],
)
def test_the_walk_finds_a_private_name(source: str, names: set[str]) -> None:
    assert foreign_names(source, frozenset({"_known"})) == names


def test_the_walk_finds_an_overridden_private_name() -> None:
    from torch import nn

    class Own(nn.BatchNorm2d):
        _mine = 1

        def _check_input_dim(self, x: object) -> None:
            pass

    assert inherited_names(Own) == {"_check_input_dim"}
