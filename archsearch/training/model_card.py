"""The model card: a short page that says what a trained network is, how good, and within which limits."""

from __future__ import annotations

import json

from archsearch.models.families import FAMILIES
from archsearch.preprocessing import Preprocessing
from archsearch.records import most_taken_for
from archsearch.training.model_facts import ModelFacts

_MOST_CONFUSED = 20  # classes up to which the card has the whole matrix; summary.json always has


def model_card(facts: ModelFacts, *, curve_image: str | None = None) -> str:
    """The card in Markdown.

    Args:
        curve_image: path of a picture of the learning curves, relative to the card.
    """
    sections = [
        f"# {facts.name}",
        _what(facts),
        "## Accuracy",
        _accuracy(facts),
        *([f"![Learning curves]({curve_image})"] if curve_image else []),
        *_classes(facts),
        "## Cost",
        _cost(facts),
        "## Choices",
        _choices(facts),
        "## Training",
        _training(facts),
        "## Use",
        _use(facts),
        *(["## From a picture to the input", _preprocessing(facts.preprocessing)] if facts.preprocessing else []),
        "## Limits",
        _limits(facts),
    ]
    return "\n\n".join(sections) + "\n"


def _what(facts: ModelFacts) -> str:
    size = facts.input_size
    found = f" Found as trial {facts.trial} of the study `{facts.study}`." if facts.study is not None else ""
    return (
        f"An image classifier of the family `{facts.spec.family}` (architecture `{facts.spec.arch_id}`) for "
        f"{len(facts.classes)} classes at {size}x{size} pixels, trained on `{facts.dataset}`.{found}"
        + (f" Which reading of its paper: {facts.reading}." if facts.reading else "")
    )


def _accuracy(facts: ModelFacts) -> str:
    count, first, spread = len(facts.scores), facts.scores[0], facts.std_top1_percent
    value = f"Test top-1 **{facts.mean_top1_percent:.2f}%"
    if spread is None:
        summary = f"{value}** from one seed, so no spread is known"
    else:
        summary = f"{value} ± {spread:.2f}** (mean ± sample standard deviation over {count} seeds)"
    rows = [f"| {score.seed} | {score.epochs} | {score.top1_percent:.2f} |" for score in facts.scores]
    return "\n".join(
        [
            f"{summary}, {first.eval_images:,} test images, after the last epoch; no epoch was chosen by its accuracy.",
            "",
            "| seed | epochs | test top-1 (%) |",
            "|---:|---:|---:|",
            *rows,
            "",
            f"`weights.safetensors` holds seed {first.seed}.",
        ]
    )


def _classes(facts: ModelFacts) -> list[str]:
    """Recall of each class, and which is taken for which; nothing for scores of older versions."""
    first = facts.scores[0]
    if first.confusion is None or first.balanced_top1_percent is None or first.majority_percent is None:
        return []
    top5 = "" if first.top5_percent is None else f", top-5 {first.top5_percent:.2f}%"
    rows = []
    for place, (name, recall) in enumerate(zip(facts.classes, first.class_recall_percent, strict=True)):
        most = most_taken_for(first.confusion[place], place)
        often = "" if most is None else f"{_cell(facts.classes[most[0]])} ({most[1]:,})"
        shown = "" if recall is None else f"{recall:.1f}"
        rows.append(f"| {_cell(name)} | {sum(first.confusion[place]):,} | {shown} | {often} |")
    lines = [
        f"Seed {first.seed}: mean recall over the classes {first.balanced_top1_percent:.2f}%{top5}. An answer that is "
        f"always the largest class has {first.majority_percent:.2f}%, chance {100 / len(facts.classes):.2f}%.",
        "",
        "| class | test images | recall (%) | most often taken for |",
        "|---|---:|---:|---|",
        *rows,
    ]
    found = ["### Classes", "\n".join(lines)]
    if len(facts.classes) <= _MOST_CONFUSED:
        head = "| class | " + " | ".join(_cell(name) for name in facts.classes) + " |"
        cells = [
            f"| {_cell(name)} | " + " | ".join(f"{count:,}" for count in row) + " |"
            for name, row in zip(facts.classes, first.confusion, strict=True)
        ]
        matrix = [head, "|---|" + "---:|" * len(facts.classes), *cells]
        found += ["Confusion matrix: rows are the images' classes, columns the answers.", "\n".join(matrix)]
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cost(facts: ModelFacts) -> str:
    lines = []
    if facts.cost is not None:
        lines.append(
            f"- {facts.cost.params:,} parameters, {facts.cost.macs:,} multiply-adds an image "
            f"(convolutions and linear layers) at {facts.cost.input_size}x{facts.cost.input_size}"
        )
        if facts.cost.unsupported_ops:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(facts.cost.unsupported_ops.items()))
            lines.append(f"- not counted: {listed}")
    if facts.latency is not None:
        taken = facts.latency
        doubts = [] if taken.converged else ["not converged"]
        doubts += ["another process may have used the device"] if taken.contended else []
        lines.append(
            f"- latency {taken.median_ms:.3f} ms median, {taken.p10_ms:.3f} to {taken.p90_ms:.3f} ms (p10 to p90), "
            f"{taken.n} runs: {taken.device}, {taken.backend}, batch {taken.batch}, {taken.threads} thread(s), "
            f"{taken.input_size}x{taken.input_size}; {taken.ratio_to_reference:.3f} times `{taken.reference}` "
            f"in the same bursts (device `{taken.fingerprint}`)" + (f"; {', '.join(doubts)}" if doubts else "")
        )
    else:
        lines.append("- latency was not measured")
    return "\n".join(lines)


def _choices(facts: ModelFacts) -> str:
    base = FAMILIES[facts.spec.family].base.choices()
    rows = [
        f"| `{name}` | {base.get(name)} | {value} |"
        for name, value in facts.spec.choices().items()
        if base.get(name) != value
    ]
    if not rows:
        return "None differs from the family's base network."
    return "\n".join(
        ["What differs from the family's base network:", "", "| choice | base | here |", "|---|---|---|", *rows]
    )


def _training(facts: ModelFacts) -> str:
    protocol, first = facts.protocol, facts.scores[0]
    on = "" if protocol.decay_vectors else " (not on biases and normalisations)"
    lines = [
        f"- protocol `{protocol.name}` ({protocol.source}), {first.epochs} epochs, batch {facts.batch_size}",
        f"- initial weights: {facts.start or 'random, drawn from each seed'}",
        f"- SGD, momentum {protocol.momentum:g}{' (Nesterov)' if protocol.nesterov else ''}, weight decay "
        f"{protocol.weight_decay:g}{on}, label smoothing {protocol.label_smoothing:g}, schedule `{protocol.schedule}`",
        f"- augmentation: {_augmentation(facts)}",
        f"- {first.train_images:,} training images, data fingerprint `{facts.dataset_fingerprint}`",
        f"- {sum(score.train_seconds for score in facts.scores):,.0f} s of training in all on {first.device}",
    ]
    if protocol.average_fraction is not None:
        lines.append(
            f"- the weights are a moving average of those of the training, over {protocol.average_fraction:.1%} of its "
            "steps"
        )
    if facts.start and len(facts.scores) > 1:
        lines.append("- the seeds share these initial weights, so they differ less than trainings from scratch do")
    if (first.epochs, facts.batch_size) != (protocol.epochs, protocol.batch_size):
        lines.append(f"- the protocol itself has {protocol.epochs} epochs and batch {protocol.batch_size}")
    return "\n".join(lines + [f"- {note}" for note in protocol.notes])


def _augmentation(facts: ModelFacts) -> str:
    protocol = facts.protocol
    flip = "mirror images where the dataset allows them" if protocol.flip is None else "mirror images"
    parts = [f"random crop with {protocol.crop_padding} pixels of padding"] if protocol.crop_padding else []
    if protocol.least_crop_area is not None:
        parts.append(f"random resized crop of {protocol.least_crop_area:.0%} to 100% of the area")
    parts += [] if protocol.flip is False else [flip]
    if protocol.colour_jitter:
        parts.append(f"brightness, contrast and saturation changed by up to {protocol.colour_jitter:.0%}")
    side = protocol.cutout_pixels(facts.input_size)
    parts += [f"a blank square of {side}x{side} pixels (cutout)"] if side else []
    return ", ".join(parts) or "none"


def _use(facts: ModelFacts) -> str:
    size = facts.input_size
    return "\n".join(
        [
            "```python",
            "import archsearch",
            'model = archsearch.load("path/to/this/folder")  # eval mode; model.archsearch has classes, mean and std',
            f"logits = model(images)  # float (N, 3, {size}, {size}), pixels in [0, 1], then (pixel - mean) / std",
            "```",
        ]
    )


def _preprocessing(recipe: Preprocessing) -> str:
    size, skipped = recipe.input_size[1], {"classes"}
    return "\n".join(
        [
            "1. Turn the picture upright (EXIF), make it RGB with 8 bits; transparent pixels show "
            f"{recipe.background}.",
            f"2. Scale the largest square in its middle to {size}x{size}: Pillow's resize, {recipe.interpolation}, "
            "columns first, then rows.",
            "3. x / 255, less `mean`, over `std`, for each channel; channels first.",
            "",
            "```json",
            json.dumps(recipe.model_dump(mode="json", exclude=skipped), indent=2),
            "```",
            "",
            "`spec.json` has this with the classes, an exported ONNX file in its metadata",
            "(`archsearch.preprocessing`), and `archsearch export --with-preprocessing` puts it into the ONNX graph.",
        ]
    )


def _limits(facts: ModelFacts) -> str:
    lines = [
        f"- Trained and tested on `{facts.dataset}` only; nothing is known about other images, sizes or cameras.",
        "- The test images were scored after each epoch for the learning curve; nothing was chosen by them.",
    ]
    if len(facts.scores) == 1:
        lines.append("- One seed: a difference of a few tenths of a percent from another network may be chance.")
    if facts.latency is not None:
        lines.append("- The latency holds for the device, backend, batch and threads named above.")
    return "\n".join(lines)
