"""A whole search in Python: run a study, look at its front, retrain the best point, load the model.

python examples/quickstart.py                        # the shipped study, a few minutes on two CPU cores
python examples/quickstart.py 3 1 proxy.epochs=1     # 3 trials, 1 epoch of retraining, changed settings
"""

import sys

import torch

import archsearch


def main(trials: int = 22, epochs: int = 3, *overrides: str) -> None:
    study = archsearch.run("quickstart", trials=trials, overrides=overrides)

    for row in study.front.members:  # fastest first
        record = row.record
        print(f"{record.label}: {record.score.top1_percent:.2f} % at {record.latency.corrected_ms:.2f} ms")
    for verdict in study.verdicts:  # what became of the published networks
        print(verdict.sentence)

    print(study.recommendation)  # which one to take, and why

    best = archsearch.retrain(study.name, trial="best", epochs=epochs)
    print(f"test top-1 of the recommended network: {best.facts.mean_top1_percent:.2f} %")

    model = archsearch.load(best.folder)  # eval mode
    info = model.archsearch
    images = torch.rand(2, 3, info.input_size, info.input_size)  # pixels in [0, 1]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (info.mean, info.std))
    classes = model((images - mean) / std).argmax(1).tolist()
    print("two images of noise look like", [info.classes[number] for number in classes])


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:3]), *sys.argv[3:])
