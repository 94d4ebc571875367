"""Count every named network, and every one of a printed table, anew: writes archsearch/papers/counts.json.

    python benchmarks/paper_counts.py

`archsearch papers` and `archsearch variants` take their counts from that file. A network is known there by its arch_id,
its input size and its classes, so one whose choices change is counted when it is asked for. Two minutes on one core. To
be run when a module of `archsearch/models` or `archsearch/blocks` builds another network from the same choices; the
tests of both commands count all of them anew and compare.
"""

from __future__ import annotations

from archsearch.api.papers import recounted
from archsearch.files import write_atomically
from archsearch.papers.printed import FILE, text_of


def main() -> None:
    """Write the file."""
    write_atomically(FILE, text_of(recounted(lambda name: print(name, flush=True))).encode())


if __name__ == "__main__":
    main()
