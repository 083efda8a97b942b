"""`python -m outfeed` is the command `outfeed`."""

from outfeed.cli import main

main()
