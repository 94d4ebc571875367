"""`python -m tests.fuzz --minutes N [--seed S]`: random hostile input for so long, and what it broke."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time

from tests.fuzz.cases import KINDS
from tests.fuzz.harness import Fuzz


def main() -> int:
    """Exit code 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long")
    parser.add_argument("--seed", type=int, help="of a run to repeat; default: a new one, which is printed")
    parser.add_argument("--only", type=int, metavar="INDEX", help="one case of that seed, with its output")
    parser.add_argument("--kind", choices=list(KINDS), help="cases of one kind")
    given = parser.parse_args()
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    began = time.monotonic()
    with Fuzz(seed=seed, kinds=[given.kind] if given.kind else list(KINDS)) as fuzz:
        print(f"seed {seed}", flush=True)
        if given.only is not None:
            broken = fuzz.run(given.only)
            print(fuzz.last_output)
            print(json.dumps([each.__dict__ for each in broken], indent=1))
            return 1 if broken else 0
        index = 0
        while time.monotonic() - began < 60.0 * given.minutes:
            for each in fuzz.run(index):
                print(f"{each.kind} at {index}: {each.what}", flush=True)
            index += 1
        print(fuzz.summary())
        return 1 if fuzz.broken else 0


if __name__ == "__main__":
    sys.exit(main())
