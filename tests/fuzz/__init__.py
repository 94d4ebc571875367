"""Random hostile input, judged by what archsearch promises: `python -m tests.fuzz --minutes 10`."""
