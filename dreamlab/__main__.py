"""`python -m dreamlab`: the command line."""

from dreamlab.cli import main

main()
