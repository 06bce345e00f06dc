"""Making a store, or bringing one of an older version up to this one."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from corarec.errors import ArtifactError, ConfigError, StorageError
from corarec.extras import needs
from corarec.files import real_place
from corarec.serve.database import store_url
from corarec.serve.store import Store
from corarec.serve.tables import METADATA
from corarec.system_errors import storage_errors
from corarec.types import Fingerprint

with needs("serve"):
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config as AlembicConfig
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

FOLDER = "serve"
"""In a run folder: what its service keeps."""
FILE = "store.sqlite"
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_NUMBER = 0x636F7261
"""Of the advisory lock under which a database of Postgres is migrated."""
WAIT_SECONDS = 60


def store_of(run: Path) -> str:
    """Return the URL of the store that lies in a run's folder, beside the archive of a packed run.

    Raises
    ------
    ConfigError
        The path cannot stand in the name of a store.
    """
    run = real_place(run)
    if run.is_file() and zipfile.is_zipfile(run):
        return url_of(run.with_name(f"{run.name}.{FOLDER}") / FILE)
    return url_of(run / FOLDER / FILE)


def url_of(file: Path) -> str:
    """Return the URL of a file.

    Raises
    ------
    ConfigError
        A question mark in it would end the path.
    """
    if "?" in str(file):
        raise ConfigError(
            f"The path {file} has a question mark in it, which ends the path of a store. Name "
            "another place with --store sqlite:///FILE."
        )
    return f"sqlite:///{file}"


def open_store(url: str, *, make: bool = True) -> Store:
    """Open a store at its newest version.

    Parameters
    ----------
    make
        Make it, or bring it up to this version, where that is needed.

    Raises
    ------
    ArtifactError
        It is damaged, of a later version, or holds other things.
    ConfigError
        The URL is none of a store, or there is no store and none is to be made.
    StorageError
        It cannot be reached, read or written.
    """
    place = store_url(url)
    file = Path(place.database) if place.get_backend_name() == "sqlite" and place.database else None
    shown = place.render_as_string(hide_password=True)
    if file is not None:
        file = real_place(file)
        place = place.set(database=str(file))
        if not file.exists() and not make:
            raise ConfigError(f"{file} does not exist: nothing was stored there yet.")
    store = Store(place)
    try:
        if make and file is not None:
            with storage_errors(file):
                _make_file(file)
                with FileLock(f"{file}.lock", timeout=WAIT_SECONDS):
                    _migrate(store, shown)
        elif make:
            _migrate(store, shown)
        else:
            _check_version(store, shown)
    except BaseException:
        store.close()
        raise
    store.reopen()
    return store


def check_dataset(store: Store, fingerprint: Fingerprint, *, adopt: bool = False) -> None:
    """See that the ids in a store are those of a dataset; one that is of none is of it from now on.

    Parameters
    ----------
    adopt
        Take a store of another dataset, where ids mean the same in both.

    Raises
    ------
    ConfigError
        It was told of another one; nothing was changed.
    StoreUnavailableError
        It cannot be read or written now.
    """
    dataset = {name: str(getattr(fingerprint, name)) for name in ("users", "items", "titles")}
    if other := store.bind(dataset, adopt=adopt):
        raise ConfigError(
            "The store was told of another dataset than that of the run: they differ in "
            f"{', '.join(other)}, so that its ids may stand for others. Nothing was changed. Name "
            "another --store; or, where an id means the same in both, such as after preparing the "
            "dataset with newer rows, start with --adopt-store."
        )


def _make_file(file: Path) -> None:
    """Make the folder and an empty file that its owner alone may read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def _config() -> AlembicConfig:
    config = AlembicConfig()
    # A percent sign would be read as the begin of a name.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _migrate(store: Store, shown: str) -> None:
    config = _config()
    with _told(shown), store.connection() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"))
        _refuse_foreign(connection, shown)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _check_version(store: Store, shown: str) -> None:
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    with _told(shown), store.connection() as connection:
        _refuse_foreign(connection, shown)
        found = _version(connection)
    if found != newest:
        raise ArtifactError(
            f"The store {shown} is of version {found}, and this corarec reads {newest}. Start "
            "`corarec serve` once with it, which brings it up to this version."
        )


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _refuse_foreign(connection: sa.Connection, shown: str) -> None:
    """See that no table of other programs is in the way."""
    if _version(connection) is None:
        there = set(sa.inspect(connection).get_table_names())
        if foreign := sorted(there & {*METADATA.tables, "alembic_version"}):
            raise ArtifactError(
                f"The store {shown} already has tables named {', '.join(foreign)} that corarec did "
                "not make. Nothing was changed. Name another database or file with --store."
            )


@contextmanager
def _told(shown: str) -> Iterator[None]:
    """Turn what the database says into an error to act on."""
    try:
        yield
    except CommandError as error:
        raise ArtifactError(
            f"The store {shown} is of a version that this corarec does not know ({error}). Use the "
            "corarec that wrote it, or a later one."
        ) from error
    except (SQLAlchemyError, OSError) as error:
        original = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        damaged = "not a database" in original or "malformed" in original
        wrong = ArtifactError if damaged else StorageError
        raise wrong(
            f"The store {shown} cannot be used: {original}. Check that it is there, whole, and may "
            "be written, or name another with --store."
        ) from error
