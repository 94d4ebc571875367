"""The kinds of input. Each makes one case in the working folder, from a random generator alone."""

from __future__ import annotations

import io
import json
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.values import JSON_VALUES, SCALARS, SENTINEL, SQL_VALUES, argument, mutated_bytes, mutated_text, word

STUDY = """\
name: mine
description: of the fuzz suite
space: space.yaml
restrict: {kernel: [3, 5], width: [0.5, 1.0]}
scale: {stem.stride: 1}
dataset: digits
trials: 2
workers: 1
seed: 0
sampler: random
objectives: [error_percent, latency_ms]
variants: none
reference: shufflenet_v2_x0_5
proxy: {epochs: 1, train_images: 64, validation_images: 40, batch_size: 32}
latency: {bursts: 2, visits: 1, spread_seconds: 0, budget_seconds: 2}
constraints: {params: 3000000, guidelines: report}
stopping: {policy: none}
"""
SPACE = """\
name: small
family: shufflenet_v2
description: of the fuzz suite
choices:
  kernel:
    values: [3, 5, 7]
    source: Ma et al. 2018
  width:
    values: [0.5, 1.0, 1.5]
    source: Ma et al. 2018
  stage2.attention:
    values: [none, se]
    source: Hu et al. 2018
fixed:
  stem.kernel: 3
"""
NETWORK = "family: shufflenet_v2\nchoices: {width: 0.5, kernel: 5}\nnum_classes: 10\ninput_size: 32\n"
LONG = (
    "run",
    "retrain",
    "export",
    "ablate",
    "confirm",
    "trust",
    "measure",
    "guidelines",
    "proxy",
    "serve-storage",
    "dashboard",
    "papers",
    "variants",
)
"""Commands that train, measure, serve or build many networks when all is well: here something always is wrong."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input.

    Attributes:
        command: what is typed; or, with `call`, what is called is named so.
        codes: the exit codes that are right.
        call: raises ArchsearchError for what is wrong, in place of a command.
        same: what is printed must be what `command` prints of the whole database, unless the exit code is 1.
    """

    command: tuple[str, ...]
    codes: tuple[int, ...] = (0, 1, 2)
    call: Callable[[], object] | None = None
    same: bool = False


@dataclass(frozen=True)
class Material:
    """What cases are made from, ready before the first.

    Attributes:
        database, old: of this version, with checksums, and of an older one, without.
        model: a model folder.
        space: text of a search space.
        commands: the names and options of every command.
    """

    database: Path
    old: Path
    model: Path
    space: str
    commands: dict[str, list[tuple[str, bool]]]


def _study() -> None:
    Path("mine.yaml").write_text(STUDY)
    Path("space.yaml").write_text(SPACE)


def study_file(rng: random.Random, made: Material) -> Case:
    """A study with wrong lines."""
    _study()
    Path("mine.yaml").write_text(mutated_text(STUDY, rng, SCALARS), encoding="utf-8", errors="surrogatepass")
    return Case(command=("run", "--dry-run", "--study", "mine.yaml", "--device", "cpu"))


def study_bytes(rng: random.Random, made: Material) -> Case:
    """A study with wrong bytes."""
    _study()
    Path("mine.yaml").write_bytes(mutated_bytes(STUDY.encode(), rng))
    return Case(command=("run", "--dry-run", "--study", "./mine.yaml", "--device", "cpu"))


def override(rng: random.Random, made: Material) -> Case:
    """A key of a study with another value."""
    _study()
    keys = [line.partition(":")[0] for line in STUDY.splitlines()]
    inner = ["proxy.epochs", "proxy.batch_size", "proxy.input_size", "latency.bursts", "latency.budget_seconds",
             "fixed.kernel",
             "restrict.width", "constraints.params", "stopping.policy", "scale.stem.stride", "design", "proxy", "",
             "."]  # fmt: skip
    given = [
        part
        for _ in range(rng.choice((1, 1, 2)))
        for part in (
            "--set",
            f"{rng.choice([*keys, *inner, argument(rng)])}{rng.choice(('=', '=', '=', ''))}{argument(rng)}",
        )
    ]
    return Case(command=("run", "--dry-run", "--study", "mine.yaml", "--device", "cpu", *given))


def space_file(rng: random.Random, made: Material) -> Case:
    """A search space with wrong lines."""
    _study()
    text = SPACE if rng.random() < 0.9 else made.space
    Path("space.yaml").write_text(mutated_text(text, rng, SCALARS), encoding="utf-8", errors="surrogatepass")
    return Case(command=("run", "--dry-run", "--study", "mine.yaml", "--device", "cpu"))


def network_file(rng: random.Random, made: Material) -> Case:
    """A network as YAML or JSON."""
    if rng.random() < 0.5:
        Path("net.yaml").write_text(mutated_text(NETWORK, rng, SCALARS), encoding="utf-8", errors="surrogatepass")
        return Case(command=("describe", "net.yaml", "--json"))
    text = json.dumps(json.loads((made.model / "spec.json").read_text()), indent=1)
    Path("net.json").write_text(mutated_text(text, rng, JSON_VALUES), encoding="utf-8", errors="surrogatepass")
    return Case(command=("describe", "net.json", "--json"))


def model_folder(rng: random.Random, made: Material) -> Case:
    """A model folder with wrong values, bytes or files."""
    from archsearch.training.model_folder import load

    shutil.copytree(made.model, "model")
    path = Path("model") / rng.choice(("spec.json", "spec.json", "spec.json", "weights.safetensors"))
    if path.suffix == ".json" and rng.random() < 0.8:
        text = json.dumps(json.loads(path.read_text()), indent=1)
        path.write_text(mutated_text(text, rng, JSON_VALUES), encoding="utf-8", errors="surrogatepass")
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    return Case(command=("load", "model"), call=lambda: load("model"), codes=(0, 1))


def arrays(rng: random.Random, made: Material) -> Case:
    """train.npz and test.npz with wrong arrays, members or bytes."""
    from archsearch.data.catalog import load_dataset

    Path("arrays").mkdir()
    images: Any = np.zeros((20, 8, 8, 3), np.uint8)
    labels: Any = np.arange(20) % 4
    images = rng.choice([
        images, images.astype(np.float64), images[..., 0], images[:3], images[:0], images[:, :4], images[0],
        np.array(["x"] * 20), np.array([{}] * 20), images.astype(np.uint16), images.tolist(),
    ])  # fmt: skip
    labels = rng.choice([
        labels, labels + 1, labels * 100, labels - 1, labels.astype(float), labels / 3, labels[:5], labels * 0,
        labels.astype(np.uint64) - np.uint64(1), np.full(20, 2**31 - 1), labels[:, None], labels.astype(str),
        np.array([None] * 20), np.full(20, np.nan), labels.astype(bool), np.array(3),
    ])  # fmt: skip
    for split in ("train", "test"):
        file = io.BytesIO()
        np.savez(
            file, **rng.choice([{"images": images, "labels": labels}, {"images": images}, {"x": images, "y": labels}])
        )
        content = file.getvalue()
        if rng.random() < 0.4:
            content = mutated_bytes(content, rng)
        if rng.random() < 0.1:
            content = _zip_of_one_member(rng)
        if rng.random() < 0.95:
            Path("arrays", f"{split}.npz").write_bytes(content)
    return Case(command=("load", "npz:arrays"), call=lambda: load_dataset("npz:arrays").load_test(), codes=(0, 1))


def _zip_of_one_member(rng: random.Random) -> bytes:
    """An archive whose array claims to be larger than any memory, or runs code when it is read as a pickle."""
    shape = rng.choice(["(3000000000, 100, 100, 3)", "(-1, 8, 8, 3)", "(20, 8, 8, 3)", "()", "x", "(" * 500])
    header = (
        f"{{'descr': {rng.choice(['|u1', '|O', '<f8', 'x'])!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    )
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    member += rng.choice([b"", b"\0" * 4000, f"cos\nsystem\n(S'touch {SENTINEL}'\ntR.".encode()])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("images.npy", "labels.npy", "../OUTSIDE.npy"):
            archive.writestr(name, member)
    return file.getvalue()


def image_folder(rng: random.Random, made: Material) -> Case:
    """A folder of images with wrong files, names and splits."""
    from archsearch.data.catalog import load_dataset

    root = Path("photos")
    for split in rng.sample(["train", "test", "val", "Train", "."], rng.randrange(1, 4)):
        for name in rng.sample(["a", "b", "É", "[v2]", ".hidden", "a b", "x" * 200, "-", "CON"], rng.randrange(0, 4)):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(rng.randrange(0, 4)):
                _picture(folder, number, rng)
    root.mkdir(exist_ok=True)
    return Case(
        command=("load", "folder:photos"), call=lambda: load_dataset("folder:photos").load_test(), codes=(0, 1, 2)
    )


def _picture(folder: Path, number: int, rng: random.Random) -> None:
    mode = rng.choice(["RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "I", "F", "I;16"])
    file = io.BytesIO()
    ending = rng.choice(["png", "png", "jpg", "gif", "tif", "bmp", "webp", "eps", "txt"])
    kind = {"jpg": "JPEG", "tif": "TIFF", "eps": "EPS", "txt": "PNG"}.get(ending, ending.upper())
    try:
        Image.new(mode, rng.choice([(8, 8), (1, 1), (40, 8), (8, 300)])).save(file, kind)
        content = file.getvalue()
    except (OSError, ValueError, KeyError):
        content = f"%!PS-Adobe-3.0 EPSF-3.0\n(touch {SENTINEL}) run\n".encode()
    if rng.random() < 0.3:
        content = mutated_bytes(content, rng)
    path = folder / f"{number}.{ending}"
    if rng.random() < 0.05:
        path.symlink_to(rng.choice(["/dev/zero", "nowhere", path.name, "/proc/self/mem"]))
    else:
        path.write_bytes(content)


LOOKS = (
    ("pareto", "--json"),
    ("pareto", "--csv", "--out", "out"),
    ("studies", "--json"),
    ("report", "--markdown"),
    ("report", "--latex"),
    ("plot", "front", "--out", "front.json"),
    ("plot", "curves", "--out", "curves.json"),
    ("plot", "latencies", "--out", "latencies.json"),
    ("describe", "small:best", "--json"),
)


def _database(rng: random.Random, made: Material, *, known: bool) -> Path:
    path = Path("x.db")
    shutil.copy(made.database if known else made.old, path)
    return path


def _look(rng: random.Random, *, same: bool) -> Case:
    command = rng.choice(LOOKS)
    by_name = command[0] == "describe"  # the study may have lost its name
    codes = (0, 1, 2) if by_name else (0, 1)
    return Case(command=(*command, "--storage", "sqlite:///x.db"), codes=codes, same=same)


def database_bits(rng: random.Random, made: Material) -> Case:
    """A database with flipped bits, of this version: no other number may come out."""
    path = _database(rng, made, known=True)
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return _look(rng, same=True)


def database_pages(rng: random.Random, made: Material) -> Case:
    """A database with a page overwritten, swapped, or cut off."""
    path = _database(rng, made, known=rng.random() < 0.5)
    content = bytearray(path.read_bytes())
    pages, size = len(content) // 4096, 4096
    one, other = rng.randrange(pages) * size, rng.randrange(pages) * size
    kind = rng.randrange(4)
    if kind == 0:
        content[one : one + size] = rng.randbytes(size)
    elif kind == 1:
        content[one : one + size] = b"\0" * size
    elif kind == 2:
        content[one : one + size], content[other : other + size] = (
            content[other : other + size],
            content[one : one + size],
        )
    else:
        del content[one:]
    path.write_bytes(content)
    return _look(rng, same=False)


COLUMNS = {
    "studies": ("name", "config", "space", "space_fingerprint", "reference_point", "reference_p10_ms", "facts",
    "created_at"),
    "trials": ("number", "status", "reason", "variant", "suggested", "family", "arch_id", "choices", "cost",
    "latency_id",
               "training_id", "seconds", "study_id"),
    "latencies": ("arch_id", "fingerprint", "p10_ms", "median_ms", "p90_ms", "details"),
    "trainings": ("study_id", "arch_id", "protocol", "split", "epochs", "seed", "top1_percent", "details", "curve"),
    "schema": ("version",),
}  # fmt: skip


def database_sql(rng: random.Random, made: Material) -> Case:
    """A database with one value changed by SQL, of a version with checksums or of one without."""
    known = rng.random() < 0.5
    path = _database(rng, made, known=known)
    table = rng.choice(list(COLUMNS))
    column = rng.choice(COLUMNS[table])
    value = rng.choice(SQL_VALUES)
    if rng.random() < 0.3:
        value = f"replace({column}, '{rng.randrange(10)}', '{rng.randrange(10)}')"
    elif rng.random() < 0.3:
        value = f"substr({column}, 1, {rng.randrange(200)})"
    elif rng.random() < 0.3:
        value = f"json_set({column}, '$.{rng.choice(_JSON_KEYS)}', json('{rng.choice(JSON_VALUES[:20])}'))"
    where = rng.choice(["1", "1", "id = 1", "id = 2"])
    _changed(path, f"update archsearch_{table} set {column} = {value} where {where}")
    return _look(rng, same=known and table != "schema")


_JSON_KEYS = (
    "params", "macs", "input_size", "objectives", "dataset", "proxy", "latency", "scale", "device", "reference",
    "bursts",
    "ratio_to_reference", "state", "also", "train_seconds", "eval_images", "error_percent", "latency_ms", "kernel",
    "num_classes",
    "noise_floor", "design", "seed", "stem.kernel", "head.type",
)  # fmt: skip


def _changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            with suppress(sqlite3.Error, OverflowError):  # NOT NULL, UNIQUE, no JSON: the database is left whole
                connection.execute(statement)


def database_schema(rng: random.Random, made: Material) -> Case:
    """A database that lacks tables or columns, has others, or is another program's."""
    path = _database(rng, made, known=rng.random() < 0.5)
    table = f"archsearch_{rng.choice([*COLUMNS, 'repeats', 'partials', 'workers'])}"
    column = rng.choice(["name", "config", "status", "details", "version", "checksums", "study_id", "curve"])
    _changed(
        path,
        "pragma foreign_keys = off",
        rng.choice([
            f"drop table {table}",
            f"delete from {table}",
            f"alter table {table} rename to other",
            f"alter table {table} drop column {column}",
            "create table studies (study_id, study_name); insert into studies values (1, 'small')",
            f"create view if not exists v as select * from {table}",
            "delete from archsearch_schema",
            "insert into archsearch_schema values (2, 4)",
            "pragma user_version = 99",
        ]),
    )  # fmt: skip
    return _look(rng, same=False)


def options(rng: random.Random, made: Material) -> Case:
    """Any command with any options and values, on a whole database; one that would take long has something wrong."""
    _database(rng, made, known=True)
    _study()
    name = rng.choice(list(made.commands))
    words = [name]
    for option, is_flag in rng.sample(made.commands[name], rng.randrange(0, min(4, len(made.commands[name])) + 1)):
        if option.startswith("-"):
            words.append(option)
        if not is_flag:
            words.append(rng.choice(["front", "small", "0", "1", "best", "shufflenet_v2_x0_5", "out.html",
                                     "out.json", "out/x.csv",
                                     "../OUTSIDE.html", "mine.yaml", *[argument(rng)] * 8]))  # fmt: skip
    if "--storage" not in words and any(option == "--storage" for option, _ in made.commands[name]):
        words += ["--storage", "sqlite:///x.db"]
    if name in LONG:
        words += rng.choice(
            [["--storage", "nonsense"], ["--no-such-option"], ["--storage", "sqlite:///absent/none.db", "--study", "x"]]
        )
    return Case(command=tuple(words), codes=(0, 1, 2) if name not in LONG else (1, 2))


def names(rng: random.Random, made: Material) -> Case:
    """Networks, studies and trials by names that mean nothing."""
    _database(rng, made, known=True)
    text = rng.choice(
        [argument(rng), f"small:{argument(rng)}", f"{argument(rng)}:{argument(rng)}", f"torchvision/{argument(rng)}"]
    )
    command: Sequence[str] = rng.choice([
        ("describe", text, "--json"),
        ("audit", text),
        ("pareto", "--study", text),
        ("plot", text),
        ("plot", "front", "--study", text, "--out", argument(rng)),
        ("compare", text, "small"),
        ("variants", "--family", text or "x"),
        ("papers", "--paper", text or "x"),
        ("replay", "--study", text, "--policy", argument(rng)),
        ("export", "--trial", text, "--no-measure"),
        ("retrain", "--trial", text, "--protocol", "none"),
    ])  # fmt: skip
    storage = ("--storage", "sqlite:///x.db") if command[0] not in ("variants", "papers") else ()
    words = [part or word(rng) for part in command]
    return Case(command=(words[0], *(part.replace("\0", "") for part in words[1:]), *storage))


KINDS: dict[str, tuple[int, Callable[[random.Random, Material], Case]]] = {
    "study file": (14, study_file),
    "study bytes": (6, study_bytes),
    "--set": (14, override),
    "search space": (8, space_file),
    "network file": (8, network_file),
    "model folder": (8, model_folder),
    "npz": (8, arrays),
    "image folder": (6, image_folder),
    "database bits": (10, database_bits),
    "database pages": (5, database_pages),
    "database SQL": (14, database_sql),
    "database schema": (4, database_schema),
    "options": (14, options),
    "names": (10, names),
}
"""How often each kind comes (its share of their sum), and what makes it."""
