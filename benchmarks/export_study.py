"""Write a study's complete trials into one small file, for benchmarks that replay it.

    python benchmarks/export_study.py STUDY --out FILE.json.gz [--storage URL]

The file is JSON, compressed: the study's name, seed, objectives, reference point and noise floor, and of each complete
trial, each network once, its number, its variant's name, what was suggested, params, macs, latency (drift-corrected,
milliseconds), the validation error after each epoch (percent) and the training loss of each. The same study gives the
same file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from archsearch.analysis.objectives import objective_values
from archsearch.api.replay import curves_of, reference_corner, stored_trainings, whole_records
from archsearch.api.study import open_study
from archsearch.errors import ArchsearchError
from archsearch.files import write_atomically


def exported(name: str, storage: str | None) -> dict[str, Any]:
    """The study as plain data. Raises ArchsearchError if it is not there, or has nothing to export."""
    study = open_study(name, storage=storage)
    records = whole_records(study, stored_trainings(study)[0])
    facts = objective_values(records, ("params", "macs", "latency_ms")).tolist()
    return {
        "study": study.name,
        "seed": int(study.info.config["seed"]),
        "objectives": list(study.objectives),
        "reference_point": list(reference_corner(study)),
        "noise_floor": study.info.noise_floor.relative,
        "trials": [
            {
                "trial": record.trial,
                "variant": record.variant,
                "suggested": dict(record.suggested),
                "params": int(params),
                "macs": int(macs),
                "latency_ms": latency_ms,
                "curve": [round(error, 6) for error in curve.errors],
                "train_loss": [round(loss, 6) for loss in curve.losses],
            }
            for record, curve, (params, macs, latency_ms) in zip(records, curves_of(study, records), facts, strict=True)
        ],
    }


def main() -> None:
    """Export one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--storage")
    arguments = parser.parse_args()
    try:
        content = exported(arguments.study, arguments.storage)
    except ArchsearchError as error:
        sys.exit(f"error: {error}")
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    write_atomically(arguments.out, gzip.compress(text.encode(), mtime=0))
    print(f"wrote {arguments.out}: {len(content['trials'])} trials of '{content['study']}'")


if __name__ == "__main__":
    main()
