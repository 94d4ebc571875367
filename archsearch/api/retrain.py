"""The full training of one network of a study, over several seeds, and the folder that holds the model."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.recommendation import RECOMMENDED
from archsearch.api.paths import as_path, study_folder
from archsearch.api.stored import Chosen, check_rule
from archsearch.api.study import Study, opened_study
from archsearch.cost.architecture import cost_of
from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.data.images import OnDecoded
from archsearch.errors import ArchsearchError, ConfigError, TrainingBusyError, TrainingError, UnknownNameError
from archsearch.files import check_writable, locked
from archsearch.host import cpu_threads
from archsearch.image_rules import ImageRules, interpolation_of
from archsearch.latency.lease import DeviceLease
from archsearch.models.families import build
from archsearch.plots.history import retraining_figure
from archsearch.plots.page import write_page, write_png
from archsearch.records import Epoch, TrialStatus
from archsearch.search.devices import training_threads, worker_devices
from archsearch.store.trials import add_training, check_database_writable
from archsearch.table import json_as
from archsearch.text import plural
from archsearch.training.distributed import World, world_of
from archsearch.training.loop import Chunk
from archsearch.training.model_folder import HELD_OUT, ModelFacts, ModelSummary, save_model_folder
from archsearch.training.protocols import Protocol, protocol_for
from archsearch.training.proxy import train_proxy
from archsearch.training.retrain import CHECKPOINT_SECONDS, Pace, RetrainedSeed, retrain_seed
from archsearch.training.settings import ClassWeights, ProxySettings, settled_precision, weights_by_name
from archsearch.training.start import STARTS, Start, pretrained_start, read_start, save_start
from archsearch.validation import check_seconds, whole

logger = logging.getLogger(__name__)

_MOST_SEEDS, _MOST_EPOCHS = 100, 100_000  # more is a slip of the finger


class RetrainedJson(ModelSummary):
    """One network trained in full: what its `summary.json` says, and where its files are."""

    folder: str
    curve: str
    events: str | None
    held_out: str | None


class RetrainedNetworksJson(TypedDict):
    """What one command trained in full, and the names of those whose training failed."""

    networks: list[RetrainedJson]
    failed: list[str]


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A retrained network: the folder that `archsearch.load` reads, and what is known of it.

    `events` is the folder of the TensorBoard event files, None without. `held_out` lists the pictures that `test_share`
    held out, one a line, relative to the dataset's folder; None where there are none, or no files.
    """

    folder: Path
    facts: ModelFacts
    curve: Path
    events: Path | None = None
    held_out: Path | None = None

    def plain(self) -> RetrainedJson:
        """All of it as plain data."""
        return json_as(RetrainedJson, self, **self.facts.summary())

    def __str__(self) -> str:
        """What it reaches, how far that can be believed, and where its files are."""
        facts, first = self.facts, self.facts.scores[0]
        said = [facts.accuracy]
        recalls = [each.balanced_top1_percent for each in facts.scores if each.balanced_top1_percent is not None]
        if len(recalls) == len(facts.scores) and first.majority_percent is not None:
            said.append(
                f"mean recall {statistics.fmean(recalls):.2f} %; always the largest class "
                f"{first.majority_percent:.2f} %, chance {100 / len(facts.classes):.2f} %"
            )
        if first.epochs < facts.protocol.epochs:
            said.append(
                f"a short training: {facts.protocol.name} has {facts.protocol.epochs} epochs, its schedule was scaled "
                f"to {first.epochs}; with more it reaches more"
            )
        said += [f"model     {self.folder}", f"curve     {self.curve}"]
        if self.held_out is not None:
            said.append(f"held out  {self.held_out} names the test images")
        if self.events is not None:
            said.append(f"events    tensorboard --logdir {self.events}")
        return "\n".join(said)

    __repr__ = __str__  # what a notebook shows: the fields hold every epoch


@dataclass(frozen=True, kw_only=True)
class RetrainedNetworks:
    """Several networks of a study, trained in full one after another; `failed` names those whose training failed."""

    networks: tuple[Retrained, ...]
    failed: tuple[str, ...] = ()

    def plain(self) -> RetrainedNetworksJson:
        """All of it as plain data."""
        return {"networks": [each.plain() for each in self.networks], "failed": list(self.failed)}


def retrain(
    study: str | Path | Study | None = None,
    *,
    trial: str | int | Chosen = "best",
    rule: str = RECOMMENDED,
    protocol: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seeds: int = 1,
    device: str = "auto",
    threads: int | None = None,
    data_dir: str | Path | None = None,
    storage: str | None = None,
    resume: bool = True,
    start: str = "scratch",
    weights: str | Path | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    compiled: bool = False,
    tensorboard: bool = False,
    class_weights: ClassWeights | None = None,
    on_start: Callable[[Study, Chosen], None] | None = None,
    on_epoch: Callable[[int, Epoch], None] | None = None,
    on_pace: Callable[[int, Pace], None] | None = None,
    on_decoded: OnDecoded | None = None,
) -> Retrained:
    """Train one network of a study on the whole training split and score it on the test split.

    Args:
        study: an opened study, a stored one's name or YAML file; None: the one worked on last.
        trial: `best`, a trial's number, a variant's name, or a network that this study's `choose_all` gave.
        rule: what best means: recommended, knee, accuracy, latency<=MS, ... (`analysis.recommendation`).
        protocol: a name in `training.protocols.PROTOCOLS`; None: `protocol_for` the study's dataset.
        epochs, batch_size: in place of the protocol's own.
        seeds: how many seeds, from 0 on; the test accuracy is their mean.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads of a training on the CPU; None: OMP_NUM_THREADS, else all usable cores. Sums of another
            number of threads are rounded otherwise.
        resume: continue what an earlier call left; False begins anew.
        start: scratch: random weights, drawn from each seed; proxy: those of the study's proxy training, made again;
            pretrained: torchvision's ImageNet weights, for the networks that have some. Seeds that start from the same
            weights differ in data order, augmentation and dropout only.
        weights: a file of torchvision's weights, for "pretrained"; None: torch.hub's folder, or the network.
        checkpoint_seconds: seconds of training within an epoch between two checkpoints.
        compiled: take the training steps through torch.compile; the weights kept are those of the plain network.
        class_weights: none or balanced: how much images of each class count in the loss; None: as in the study's proxy.
        tensorboard: write TensorBoard event files, too (extra `tensorboard`).
        on_start: called once with the study and the chosen network.
        on_epoch: called with the seed after each of its epochs.
        on_pace: called with the seed every few steps.
        on_decoded: called with how many pictures are decoded, and of how many.

    The same call again continues after a stop or a kill, and does nothing when all is done. In processes that torchrun
    started, they train together, each with a part of every batch; the first one writes.

    Raises ConfigError, UnknownNameError, StoreError, DataError, TrainingError; TrainingBusyError while another process
    trains this network.
    """
    seeds, epochs, batch_size = whole(seeds, "seeds"), whole(epochs, "epochs"), whole(batch_size, "batch_size")
    threads = whole(threads, "threads")
    check_seconds(checkpoint_seconds, "checkpoint_seconds")
    if not 1 <= seeds <= _MOST_SEEDS:
        raise ConfigError(f"seeds {seeds}: must be 1 to {_MOST_SEEDS}")
    if epochs is not None and not 1 <= epochs <= _MOST_EPOCHS:
        raise ConfigError(f"epochs {epochs}: must be 1 to {_MOST_EPOCHS:,}")
    if class_weights is not None and class_weights not in get_args(ClassWeights):
        raise UnknownNameError("class weights", class_weights, get_args(ClassWeights))
    weights_file = as_path(weights)
    if start not in STARTS:
        raise UnknownNameError("start", start, STARTS)
    if weights_file is not None and start != "pretrained":
        raise ConfigError(
            f"weights {weights_file}: only a pretrained start reads a file",
            hint="start it pretrained (in a terminal: --pretrained)",
        )
    opened = opened_study(study, storage=storage)
    recipe = protocol_for(str(opened.info.config["dataset"]), protocol)
    if isinstance(trial, Chosen):
        check_rule(rule)
        _check_of(opened, trial)
        chosen = trial
    else:
        chosen = opened.choose(trial, rule=rule)
    target = worker_devices(device, None)[0]
    if threads is not None and target != "cpu":
        raise ConfigError(f"threads {threads}: it trains on {target}", hint="leave it out, or take the device cpu")
    world = world_of(target)
    target = target if world.size == 1 else world.device
    if compiled and world.size > 1:
        raise ConfigError("several processes train together without torch.compile", hint="leave one of them out")
    if world.size > 1 and str(device).startswith("cuda:"):
        raise ConfigError(
            f"device {device}: of several processes each trains on the GPU of its place",
            hint="the device cuda; CUDA_VISIBLE_DEVICES says which GPUs there are",
        )
    _check_alike(chosen, world, study=opened.name)
    cores = training_threads(threads, processes=world.local_size) if target == "cpu" else None
    length = epochs or recipe.epochs
    folder = study_folder(opened.name) / "retrain" / chosen.spec.arch_id
    if world.first:
        check_writable(folder)  # an hour of training would be lost, or its result
        with opened.reopened() as database:
            check_database_writable(database)
    chunk = world.holding(DeviceLease.of_device(target).shared)
    # before the images are read: who comes back to a network asks again and again
    with _alone_at(folder, world), cpu_threads(cores):
        rules = ImageRules.of_study(opened.info.config, opened.info.facts)
        dataset = load_dataset(str(opened.info.config["dataset"]), data_dir=data_dir, rules=rules)
        opened.info.check_images(dataset.fingerprint)
        if on_start is not None and world.first:
            on_start(opened, chosen)
        begin = world.in_turn(
            lambda: start_of(
                start,
                opened,
                chosen,
                dataset,
                device=target,
                folder=folder / "starts",
                weights=weights_file,
                chunk=chunk,
                resume=resume or not world.first,
            )
        )
        usual = opened.info.config["proxy"].get("class_weights", "none")
        weighted = usual if class_weights is None else class_weights
        place = folder / _training_name(recipe, length, batch_size, start=start, compiled=compiled, weighted=weighted)
        trained = [
            retrain_seed(
                chosen.spec,
                dataset,
                recipe,
                epochs=length,
                batch_size=batch_size,
                seed=seed,
                input_size=opened.input_size,
                device=target,
                folder=place,
                resume=resume,
                on_epoch=None if on_epoch is None else partial(on_epoch, seed),
                on_pace=None if on_pace is None or not world.first else partial(on_pace, seed),
                on_decoded=on_decoded,
                chunk=chunk,
                start=begin,
                checkpoint_seconds=checkpoint_seconds,
                compiled=compiled,
                events=tensorboard,
                class_weights=weighted,
                usual_weights=usual,
                world=world,
            )
            for seed in range(seeds)
        ]
        first, record = trained[0], chosen.record
        facts = ModelFacts(
            name=chosen.label,
            spec=chosen.spec,
            reading=chosen.reading,
            classes=dataset.classes,
            input_size=opened.input_size,
            mean=first.mean,
            std=first.std,
            scores=tuple(seed.score for seed in trained),
            protocol=recipe,
            batch_size=first.batch_size,
            dataset=dataset.name,
            dataset_fingerprint=dataset.fingerprint,
            image_rules=rules,
            interpolation=interpolation_of(dataset.name, rules),
            study=opened.name,
            trial=None if record is None else record.trial,
            cost=cost_of(chosen.spec, num_classes=dataset.num_classes, input_size=opened.input_size),
            latency=None if record is None else record.latency,
            start="" if begin is None else begin.description,
            class_weights=weighted,
        )
        curve = world.in_turn(lambda: _keep(opened, chosen, folder, facts, trained, world, dataset.held_out))
    return Retrained(
        folder=folder,
        facts=facts,
        curve=curve,
        events=place / "tensorboard" if tensorboard else None,
        held_out=folder / HELD_OUT if dataset.held_out else None,
    )


def _check_alike(chosen: Chosen, world: World, *, study: str) -> None:
    """Raise TrainingError unless the first process has chosen this network, too; each read the study by itself."""
    own = int(chosen.spec.arch_id, 16)  # 12 digits, which a float64 holds
    first = int(world.told(lambda: float(own)))
    if first != own:
        raise TrainingError(
            f"processes that train together chose two networks of study '{study}', which went on meanwhile: the "
            f"first one {first:012x}, this one {chosen.spec.arch_id}, {chosen.label}",
            hint="name the network by its trial's number (in a terminal: --trial N)",
        )


@contextmanager
def _alone_at(folder: Path, world: World) -> Iterator[None]:
    """Hold a network's folder, so that no other command trains it meanwhile.

    Raises TrainingBusyError if one does, ArchsearchError on a file system without locks.
    """
    if not world.first:
        yield
        return
    with ExitStack() as stack:
        try:
            held = stack.enter_context(locked(folder.with_name(f".{folder.name}.lock"), wait=False))
        except OSError as error:
            raise ArchsearchError(
                f"{error.filename}: {error.strerror}",
                hint="work in a folder on a disk that locks files, and name the database (in a terminal: --storage)",
            ) from error
        if not held:
            raise TrainingBusyError(
                f"another command trains the network {folder.name} now", hint="type it again when that one has ended"
            )
        yield


def _keep(
    opened: Study,
    chosen: Chosen,
    folder: Path,
    facts: ModelFacts,
    trained: list[RetrainedSeed],
    world: World,
    held_out: tuple[str, ...],
) -> Path:
    """Write the model's folder and store its scores, which the first process does; gives the curves' file."""
    if not world.first:
        return next((path for path in (folder / "curve.png", folder / "curve.html") if path.exists()), folder)
    _warn_of_replacing(folder, facts)
    curve = _draw_curve(folder, facts)
    save_model_folder(
        folder,
        facts,
        weights_from=trained[0].weights,
        curve_image=curve.name if curve.suffix == ".png" else None,
        held_out=held_out,
    )
    with opened.reopened() as database:
        for seed in trained:
            add_training(
                database,
                study_id=opened.info.id,
                arch_id=chosen.spec.arch_id,
                score=seed.score,
                folder=str(seed.weights.parent.parent),
            )
    return curve


def _training_name(
    recipe: Protocol, epochs: int, batch_size: int | None, *, start: str, compiled: bool, weighted: ClassWeights
) -> str:
    """The folder of one training's seeds, so that trainings of another length, batch size or start stand beside it."""
    parts = [f"{recipe.name}-{epochs}-epochs"]
    if batch_size not in (None, recipe.batch_size):
        parts.append(f"batch-{batch_size}")
    if start != "scratch":
        parts.append("pretrained" if start == "pretrained" else f"from-{start}")
    if compiled:
        parts.append("compiled")
    if weighted != "none":
        parts.append("class-weights")
    return "-".join(parts)


def _warn_of_replacing(folder: Path, facts: ModelFacts) -> None:
    """Say so when the folder's model is one that was trained longer; the weights of its seeds stay beside it."""
    path = folder / "summary.json"
    if not path.exists():
        return
    try:
        before = max(int(score["epochs"]) for score in json.loads(path.read_text(encoding="utf-8"))["scores"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s) and is written anew", path, error)
        return
    if before > facts.scores[0].epochs:
        logger.warning(
            "the model in %s was trained for %d epochs; this one, of %d, takes its place (the old weights stay in the "
            "folder of their own training)",
            folder,
            before,
            facts.scores[0].epochs,
        )


def _check_of(study: Study, chosen: Chosen) -> None:
    own, record = ((each.study, each.trial, each.arch_id) for each in study.records), chosen.record
    if record is not None and (record.study, record.trial, record.arch_id) not in own:
        raise ConfigError(
            f"{chosen.label} ({record.arch_id}) of study '{record.study}' is no network of study '{study.name}'",
            hint="give the opened study that it was chosen from",
        )


def _draw_curve(folder: Path, facts: ModelFacts) -> Path:
    """The learning curves as a PNG where the extra `png` and a browser are there, else as a page.

    The other one, of a training before whose folder this was, is removed.
    """
    figure = retraining_figure(facts.scores, title=facts.name)
    picture, page = folder / "curve.png", folder / "curve.html"
    try:
        write_png(figure, picture, width=1000, height=600)
    except ArchsearchError as error:
        logger.info("the learning curves become a page, not a PNG: %s", error)
        first = facts.scores[0]
        write_page(
            [figure],
            page,
            title=f"Learning curves of {facts.name}",
            subtitle=(
                f"study {facts.study} · {facts.dataset} at {facts.input_size}x{facts.input_size} · "
                f"{plural(first.train_images, 'training image')} · batch {facts.batch_size} · {first.device}",
            ),
            sentences=(facts.accuracy,),
        )
        picture.unlink(missing_ok=True)
        return page
    page.unlink(missing_ok=True)
    return picture


def start_of(
    kind: str,
    study: Study,
    chosen: Chosen,
    dataset: Dataset,
    *,
    device: str,
    folder: Path,
    weights: Path | None = None,
    chunk: Chunk,
    resume: bool = True,
) -> Start | None:
    """What a retraining of a network begins with; None for random weights.

    A study keeps no weights, so its proxy training is made again: the same images, seed and recipe, and on a CPU one
    thread, as workers have. The result is kept in `folder`, and read from there the next time.

    Args:
        kind: one of `training.start.STARTS`.
        weights: a file of torchvision's weights, for "pretrained".
        resume: False makes the proxy training again.

    Raises ConfigError where torchvision has no weights of it, or for a proxy that only another version knows,
    TrainingError if it diverges.
    """
    if kind == "pretrained":
        return pretrained_start(
            chosen.spec, num_classes=dataset.num_classes, input_size=study.input_size, weights=weights
        )
    if kind == "scratch":
        return None
    proxy = None if chosen.record is None else chosen.record.score
    seed = int(study.info.config["seed"]) if proxy is None else proxy.seed  # that the study trained it with, if it did
    settings = study.settings("proxy", ProxySettings).model_copy(
        update={"precision": settled_precision(study.info.config, study.info.facts, device)}
    )
    made_by = _digest(study, dataset, settings)
    path = folder / f"proxy-seed-{seed}.safetensors"
    start = read_start(path) if resume else None
    if start is None or start.made_by not in ("", made_by):
        start = replace(
            _trained(study, chosen, dataset, settings, seed=seed, device=device, chunk=chunk), made_by=made_by
        )
        save_start(path, start)
    return start


def _digest(study: Study, dataset: Dataset, settings: ProxySettings) -> str:
    """12 hex digits of all but network and seed that decides what a proxy training comes to.

    A folder is of a study's name, which another study had before, or has in another database.
    """
    facts = {
        **settings.model_dump(exclude={"chunk_steps"}),
        "input_size": study.input_size,
        "initial_weights": weights_by_name(study.info.config["proxy"]),
        "images": dataset.fingerprint,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _trained(
    study: Study,
    chosen: Chosen,
    dataset: Dataset,
    settings: ProxySettings,
    *,
    seed: int,
    device: str,
    chunk: Chunk,
) -> Start:
    train, validation = dataset.split(**settings.split, image_size=study.input_size)
    logger.info("the proxy training of %s is made again: %d epochs", chosen.label, settings.epochs)
    with cpu_threads(1 if device == "cpu" else None):  # as workers have it: the sums of several are rounded otherwise
        model = build(
            chosen.spec,
            num_classes=dataset.num_classes,
            input_size=study.input_size,
            seed=seed,
            by_name=weights_by_name(study.info.config["proxy"]),
        )
        score = train_proxy(
            model,
            train,
            validation,
            settings,
            seed=seed,
            num_classes=dataset.num_classes,
            input_size=study.input_size,
            flip=dataset.flip,
            device=device,
            chunk=chunk,
        )
    recorded = chosen.record
    known = ""
    if recorded is not None and recorded.status is TrialStatus.COMPLETE and recorded.score is not None:
        known = f", {recorded.score.top1_percent:.2f} % in the study"
    description = (
        f"the proxy training of study '{study.name}', made again: {plural(score.epochs, 'epoch')} on "
        f"{score.train_images:,} images, seed {seed}, validation top-1 {score.top1_percent:.2f} %{known}"
    )
    logger.info("starts from %s", description)
    return Start(kind="proxy", description=description, state=model.state_dict())
