"""The command line as a user types it."""

import sys

from corarec import cli


def corarec(*arguments: object) -> int:
    """Run the command line in this process and return its exit status."""
    before, sys.argv = sys.argv, ["corarec", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0
