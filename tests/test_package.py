"""What a user installs: the wheel carries the shipped YAML and the page's parts, and works away from the checkout."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import archsearch

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    built = run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_has_every_module_yaml_and_page_part(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    in_checkout = {str(path.relative_to(ROOT)) for path in (ROOT / "archsearch").rglob("*.py")}
    yaml = {
        f"archsearch/_yaml/{kind}/{path.name}"
        for kind in ("studies", "search_spaces")
        for path in (ROOT / kind).glob("*.yaml")
    }
    assert len(yaml) >= 5
    assert in_checkout <= names
    assert yaml <= names
    assert {"page.css", "page.js"} <= {Path(name).name for name in names}


def test_shipped_studies_are_found_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    target, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    installed = run(
        "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target), str(wheel), cwd=empty
    )
    assert installed.returncode == 0, installed.stderr
    where = run("-c", "import archsearch; print(archsearch.__file__)", cwd=empty, PYTHONPATH=str(target))
    assert Path(where.stdout.strip()).is_relative_to(target), where.stdout + where.stderr
    listed = run("-m", "archsearch.cli.main", "studies", "--shipped", cwd=empty, PYTHONPATH=str(target))
    assert listed.returncode == 0, listed.stderr
    for path in (ROOT / "studies").glob("*.yaml"):
        assert path.stem in listed.stdout
    assert list(empty.iterdir()) == []


def test_the_version_is_that_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert archsearch.__version__ == project["version"]


def test_all_names_are_importable_and_no_home_is_left_out() -> None:
    assert set(archsearch.__all__) == set(archsearch._HOMES)
    for name, home in archsearch._HOMES.items():
        found, function = getattr(archsearch, name), getattr(importlib.import_module(home), name)
        assert found is (importlib.import_module(f"archsearch.{name}") if name in archsearch._MODULES else function)
        assert inspect.isclass(function) or inspect.signature(found) == inspect.signature(function)
    assert set(dir(archsearch)) == {*archsearch.__all__, "__version__"}


def test_an_editor_is_told_the_home_of_every_name() -> None:
    """What stands under TYPE_CHECKING is all that an editor or mypy sees."""
    tree = ast.parse(Path(archsearch.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert told == archsearch._HOMES
    assert (Path(archsearch.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", archsearch._MODULES)
def test_a_module_that_is_named_as_a_command_is_both(name: str) -> None:
    module = importlib.import_module(f"archsearch.{name}")
    assert getattr(archsearch, name) is module
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        module(nothing=1)
    assert Path(str(module.__file__)) in {
        Path(str(archsearch.__file__)).parent / end for end in (f"{name}/__init__.py", f"{name}.py")
    }


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        archsearch.nothing  # noqa: B018


def test_the_tested_versions_cover_every_dependency_within_its_bounds_on_every_platform() -> None:
    lines = (ROOT / "requirements" / "tested.txt").read_text(encoding="utf-8").splitlines()
    tested = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for each in tested:
        (version,) = each.specifier
        assert version.operator == "==" and "+" not in version.version, each
    versions = {canonicalize_name(each.name): next(iter(each.specifier)).version for each in tested}
    assert len(versions) == len(tested)
    assert not [name for name in versions if name.startswith(("cuda-", "triton")) or name in ("pip", "uv")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    for each in map(Requirement, wanted):
        name = canonicalize_name(each.name)
        assert name in versions, f"{name} is not in requirements/tested.txt"
        assert each.specifier.contains(versions[name]), f"{each}, but {versions[name]} was tested"


def test_an_extra_asks_for_the_versions_that_the_tests_ask_for() -> None:
    """Otherwise the lowest versions that the tests run with are not those that a user of the extra may have."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name, wanted in extras.items():
        assert set(wanted) <= set(extras["test"]), name


def test_onnx_runtime_writes_nothing_into_the_home_folder_and_sends_nothing(tmp_path: Path) -> None:
    code = (
        "import archsearch.latency.backends, onnxruntime, numpy; "
        "archsearch.measure('shufflenet_v2_x0_5', input_size=32, num_classes=10, backends=['onnxruntime'], "
        "device='cpu', budget_seconds=0.5)"
    )
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", f"import archsearch; {code}"], env=environment | places, check=True)
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if not path.startswith("archsearch")] == []  # the lease's own files
