"""`corarec`, also as `python -m corarec`: the command line, or what to install for it."""

import sys


def main() -> None:
    """Run the command line; without its packages say what to type, with exit status 1."""
    try:
        from corarec.cli import main as run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        print(
            f"error: The command line needs the package {error.name}, which is not installed. "
            "Type: pip install 'corarec[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
