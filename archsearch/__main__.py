"""`python -m archsearch`: the command where its script is not on the PATH."""

from archsearch.cli.main import main

if __name__ == "__main__":
    main()
