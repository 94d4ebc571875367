"""One writer: whole files, regular ones only, under names that stay below their folder."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from archsearch.api.paths import study_folder
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.files import check_writable, is_name, locked, write_atomically


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_is_written_with_its_folder_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomically(Path("a/b/c.txt"), b"one")
    write_atomically(Path("a/b/c.txt"), b"two")
    assert [path.name for path in tmp_path.glob("a/b/*")] == ["c.txt"]
    assert Path("a/b/c.txt").read_bytes() == b"two"


def test_a_link_is_followed_and_stays_one() -> None:
    Path("target.txt").write_text("old")
    Path("link.txt").symlink_to("target.txt")
    Path("dangling.txt").symlink_to("later.txt")
    for name in ("link.txt", "dangling.txt"):
        write_atomically(Path(name), b"new")
        assert Path(name).is_symlink()
    assert Path("target.txt").read_text() == Path("later.txt").read_text() == "new"


def test_a_file_keeps_its_mode() -> None:
    Path("secret.json").write_text("old")
    Path("secret.json").chmod(0o600)
    write_atomically(Path("secret.json"), b"new")
    assert stat.S_IMODE(Path("secret.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("path", [".", "", "/", "..", "folder", "folder/", "to_folder"])
def test_a_folder_is_no_file(path: str, tmp_path: Path) -> None:
    Path("folder").mkdir()
    Path("to_folder").symlink_to("folder")
    with pytest.raises(ConfigError, match="it is a folder"):
        write_atomically(Path(path), b"x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "to_folder"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "pipe", "to_device"])
def test_a_device_or_a_pipe_is_neither_written_nor_replaced(path: str) -> None:
    os.mkfifo("pipe")
    Path("to_device").symlink_to("/dev/null")
    with pytest.raises(ConfigError, match="it is a device or a pipe"):
        write_atomically(Path(path), b"x")
    assert not Path(path).is_file()


def test_what_cannot_be_written_is_told_with_its_path() -> None:
    Path("file").write_text("x")
    Path("loop").symlink_to("loop")
    for path, why in (
        ("file/x.txt", "Not a directory|File exists"),
        ("n" * 256, "name too long"),
        ("loop", ""),
        ("a\0b", "null"),
    ):
        with pytest.raises(ArchsearchError, match=f"cannot be written: .*({why})"):
            write_atomically(Path(path), b"x")
    with pytest.raises(ArchsearchError, match="file/x: cannot be written"):
        check_writable(Path("file/x"))


def test_the_longest_name_that_a_file_can_have_is_written() -> None:
    name = "n" * 251 + ".txt"
    write_atomically(Path(name), b"x")
    assert [path.name for path in Path().iterdir()] == [name]


def test_a_full_disk_is_told_and_leaves_the_old_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(Path("x.txt"), b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArchsearchError, match=r"x\.txt: cannot be written: No space left on device"):
        write_atomically(Path("x.txt"), b"new")
    assert [path.name for path in Path().iterdir()] == ["x.txt"]
    assert Path("x.txt").read_bytes() == b"old"


def test_a_file_that_two_threads_write_at_the_same_time_is_whole_and_neither_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synchronised, begun = os.fsync, []

    def meanwhile(file: int) -> None:
        if not begun:
            begun.append(file)
            with ThreadPoolExecutor(1) as other:
                other.submit(write_atomically, Path("x.txt"), b"the other's").result()
        synchronised(file)

    monkeypatch.setattr("os.fsync", meanwhile)
    write_atomically(Path("x.txt"), b"one")
    assert Path("x.txt").read_bytes() == b"one"
    assert [path.name for path in Path().iterdir()] == ["x.txt"]


@pytest.mark.parametrize(("number", "written"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_is_written_where_folders_cannot_be_synchronised(
    number: int, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised = os.fsync

    def refused(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        synchronised(file)

    monkeypatch.setattr("os.fsync", refused)
    with nullcontext() if written else pytest.raises(ArchsearchError, match="cannot be written: Input/output error"):
        write_atomically(Path("x.txt"), b"new")
    assert Path("x.txt").read_bytes() == b"new"


def test_where_files_cannot_be_locked_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_file: object, _how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refused)
    said = r"files cannot be locked there: Function not implemented: '\.x\.lock'"
    with pytest.raises(OSError, match=said), locked(Path(".x.lock"), wait=False):
        raise AssertionError("it is not held")


def test_a_folder_is_tried_before_hours_are_spent() -> None:
    check_writable(Path("runs/x"))
    assert list(Path("runs/x").iterdir()) == []


@pytest.mark.parametrize("name", ["quickstart", "a", "A.b_c-9", "x" * 100])
def test_a_study_may_be_called_so(name: str) -> None:
    assert is_name(name)
    assert study_folder(name) == Path("runs") / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/etc", "a/b", "..\\x", ".hidden", "a\n", "a\0", "x" * 101, "\udcff", "é", "-x"]
)
def test_a_name_that_would_be_another_path_is_none(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(ConfigError, match="a study cannot be called"):
        study_folder(name)
