"""A benchmark without arguments: any argument shows what it measures instead of starting it."""

import sys
from collections.abc import Callable


def start(main: Callable[[], None], about: str | None) -> None:
    """Run `main`, or print the module's text and exit (2 where the argument was no call for help)."""
    if len(sys.argv) == 1:
        main()
    else:
        print(about)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
