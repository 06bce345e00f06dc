"""The command line: one command per verb of the user.

torch and transformers take seconds to import, so each command imports what it needs.
"""

from corarec.cli.commands import app, main
from corarec.cli.output import console, log

__all__ = ["app", "console", "log", "main"]
