"""What only some users need, and which `pip install` brings it."""

from collections.abc import Iterator
from contextlib import contextmanager

from corarec.errors import ConfigError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Wrap the imports of packages that `corarec[extra]` brings.

    Raises
    ------
    ConfigError
        One is not installed; says what to type.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing(error.name or str(error), extra) from error


def missing(package: str, extra: str) -> ConfigError:
    """Return the error of a package that is not installed."""
    return ConfigError(
        f"The package {package} is needed here and not installed. "
        f"Type: pip install 'corarec[{extra}]'"
    )
