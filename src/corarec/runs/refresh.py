"""`corarec refresh`: what a service was told, learned by the CF model of a run in its own space.

The run stays as it was trained and measured. Beside it, in `refreshes/`, each refresh is a folder
named by its fingerprint with a CF model and the knowledge that belongs to it; `current.json` names
the one that services use. A space made anew would turn under the trained system: for that, prepare
a dataset with the events, fit anew and train, starting from the old run.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field, ValidationError

from corarec.cf import CFModel, load_cf
from corarec.cf.feedback import Feedback
from corarec.cf.fit import seen_rows
from corarec.data import Dataset, Knowledge
from corarec.data.events import Events, read_events
from corarec.data.fingerprint import items_digest, titles_digest, users_digest
from corarec.data.history import Timeline
from corarec.data.vocabulary import Vocabulary
from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.files import atomic_directory, read_json, sha256, write_json
from corarec.locks import locked
from corarec.provenance import provenance
from corarec.runs.layout import BEST, CF
from corarec.runs.open import read_run
from corarec.types import BoolArray, Config, Fingerprint, IntArray, Log

REFRESHES, CURRENT, RECORD, KNOWLEDGE = "refreshes", "current.json", "refresh.json", "knowledge"
KIND = "refresh"


class RefreshRecord(Config):
    """What `refresh.json` says."""

    fingerprint: str
    cf_before: str
    """SHA-256 of the identity of the run's own CF model"""
    dataset_before: Fingerprint
    events: int
    """likes and dislikes that were learned"""
    users: int
    """new ones"""
    items: int
    """new ones"""
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Refresh:
    """A refresh, open for use."""

    record: RefreshRecord
    model: CFModel
    knowledge: Knowledge


def refresh_run(
    folder: Path, events: Path, items: Path | None = None, data: Path | None = None
) -> RefreshRecord:
    """Learn events and new items, and make that what services use from now on.

    Each refresh begins at the run as it was trained, so that `events` are all since then.

    Raises
    ------
    ArtifactError
        The folder is no run.
    ConfigError
        The run has no CF model, or one that takes no feedback, or is an archive.
    DataError
        A file is damaged, or an event is of an item that nobody knows.
    InUseError
        Another process refreshes the run.
    """
    if folder.is_file():
        raise ConfigError(f"{folder} is an archive. Unpack it into a folder and refresh that.")
    told = read_events(events, items)
    config, knowledge, splits = read_run(folder, data)
    if not config.cf:
        raise ConfigError(
            f"{folder} has no CF model: its prompts alone know what people like, and a service "
            "shows that at once. There is nothing to refresh."
        )
    with locked(folder / f".{REFRESHES}.lock", f"The folder {folder / REFRESHES}"):
        model = load_cf(folder / CF, knowledge.fingerprint)
        after, feedback, counts = _learned(knowledge, told, _fitted(knowledge, splits, model))
        extended = model.extended(feedback, after.catalogue.num_items)
        extended.dataset = after.fingerprint
        name = _fingerprint(folder, after)
        record = RefreshRecord(
            fingerprint=name,
            cf_before=_identity_of(folder),
            dataset_before=knowledge.fingerprint,
            events=counts[0],
            users=counts[1],
            items=counts[2],
            provenance=provenance(),
        )
        with atomic_directory(folder / REFRESHES / name, KIND, keep_foreign=True) as temporary:
            extended.save(temporary / CF)
            (temporary / KNOWLEDGE).mkdir()
            after.write(temporary / KNOWLEDGE)
            told.items.write_parquet(temporary / "items.parquet")
            write_json(temporary / RECORD, record.model_dump(mode="json"))
        open_refresh(folder, name)
        write_json(folder / REFRESHES / CURRENT, {"fingerprint": name})
    return record


def newest_refresh(folder: Path) -> str | None:
    """Return the fingerprint of the refresh that services use; None: the run as it was trained.

    Raises
    ------
    ArtifactError
        The file that names it is damaged.
    """
    path = folder / REFRESHES / CURRENT
    if not path.exists():
        return None
    found = read_json(path)
    name = found.get("fingerprint") if isinstance(found, dict) else None
    if not isinstance(name, str) or not name.isalnum():
        raise ArtifactError(f"{path} names no refresh. Delete it, or run `corarec refresh` again.")
    return name


def open_refresh(folder: Path, name: str) -> Refresh:
    """Open a refresh of a run.

    Raises
    ------
    ArtifactError
        There is none of that name, it is damaged, or it is of another run.
    """
    place = folder / REFRESHES / name
    if not name.isalnum() or not (place / RECORD).exists():
        raise ArtifactError(f"{folder} has no refresh {name!r:.60}. Make one: `corarec refresh`.")
    try:
        record = RefreshRecord.model_validate(read_json(place / RECORD))
    except ValidationError as error:
        raise ArtifactError(f"{place / RECORD} is damaged ({error}).") from error
    if record.cf_before != _identity_of(folder) or record.fingerprint != name:
        raise ArtifactError(
            f"{place} was made of another CF model than the one of {folder}. Run `corarec refresh` "
            "again."
        )
    knowledge = Knowledge.read(place / KNOWLEDGE)
    return Refresh(record, load_cf(place / CF, knowledge.fingerprint), knowledge)


def _learned(
    knowledge: Knowledge, told: Events, fitted: BoolArray
) -> tuple[Knowledge, Feedback, tuple[int, int, int]]:
    """Return what is known afterwards, that as feedback, and how much of it is new."""
    catalogue, line = knowledge.catalogue, knowledge.timeline
    if not knowledge.users and knowledge.num_users:
        raise ConfigError(
            "The run was packed without its users, so events cannot be joined to them. Refresh the "
            "run that it was packed from, or name its dataset with --data."
        )
    opinions = told.opinions()
    titles = dict(zip(told.items["item"].to_list(), told.items["title"].to_list(), strict=True))
    new_items = [raw for raw in titles if not catalogue.vocabulary.number(raw)]
    all_items = Vocabulary([*catalogue.vocabulary.raw_ids, *new_items])
    names = opinions["user"].unique(maintain_order=True).to_list()
    new_users = [raw for raw in names if not knowledge.users.number(raw)]
    all_users = Vocabulary([*knowledge.users.raw_ids, *new_users])
    user_ids = all_users.numbers(opinions["user"].to_list())
    item_ids = all_items.numbers(opinions["item"].to_list())
    if (item_ids == 0).any():
        place = int(np.argmax(item_ids == 0))
        raise DataError(
            f"{told.file}: user {opinions['user'][place]!r:.60} told of the item "
            f"{opinions['item'][place]!r:.60}, which neither the run nor the items name. Give its "
            "title in --items."
        )
    count = len(line.user_ids)
    times = np.zeros(count, np.int64) if line.times is None else line.times
    stars = np.full(count, np.nan) if line.stars is None else line.stars
    more = opinions["stars"].fill_null(float("nan")).to_numpy()
    rows = Log(
        np.concatenate([line.user_ids, user_ids]),
        np.concatenate([line.item_ids, item_ids]),
        np.concatenate([line.labels, opinions["label"].to_numpy()]),
        np.concatenate([times, opinions["time"].to_numpy()]),
        np.concatenate([stars, more]),
    )
    in_fit = np.concatenate([fitted, np.zeros(len(opinions), np.bool_)])
    order = np.lexsort((rows.times, rows.user_ids))
    rows, in_fit = rows.take(order), in_fit[order]
    current = _current(rows, order >= count)
    in_place = replace(
        catalogue,
        titles=[*catalogue.titles, *(titles[raw] for raw in new_items)],
        vocabulary=all_items,
        popularity=_more(catalogue.popularity, len(new_items)),
        recent=_more(catalogue.recent, len(new_items)),
    )
    kept = rows.take(np.flatnonzero(current))
    columns = kept.user_ids, kept.item_ids, kept.labels
    known_times = kept.times if line.times is not None or not count else None
    met = None
    if line.met is not None:
        met = np.concatenate([line.met, np.ones(len(opinions), np.bool_)])[order][current]
    after = replace(
        knowledge,
        catalogue=in_place,
        num_users=len(all_users),
        users=all_users,
        timeline=Timeline(*columns, len(all_users), known_times, stars=kept.stars, met=met),
        fingerprint=knowledge.fingerprint.model_copy(
            update={
                "users": users_digest(all_users.raw_ids),
                "items": items_digest(all_items.raw_ids),
                "titles": titles_digest(in_place.titles[1:], catalogue.noun, catalogue.nouns),
                "interactions": _digest(kept),
            }
        ),
    )
    feedback = Feedback(
        np.unique(rows.user_ids), rows, in_fit, current, catalogue.popularity, len(all_users)
    )
    return after, feedback, (len(opinions), len(new_users), len(new_items))


def _current(rows: Log, live: BoolArray) -> BoolArray:
    """Return which rows hold: of an item that a service was told of, a user's last one."""
    frame = pl.DataFrame({"user": rows.user_ids, "item": rows.item_ids, "live": live})
    pair = ["user", "item"]
    last = pl.int_range(pl.len()).over(pair) == pl.len().over(pair) - 1
    holds = frame.select((~pl.col("live").any().over(pair)) | last).to_series()
    return holds.to_numpy().astype(np.bool_)


def _fitted(knowledge: Knowledge, splits: Dataset | None, model: CFModel) -> BoolArray:
    if splits is not None and model.report is not None:
        return np.asarray(seen_rows(splits, model.report))
    return np.ones(len(knowledge.timeline.user_ids), dtype=np.bool_)


def _more(counts: IntArray, more: int) -> IntArray:
    return np.concatenate([counts, np.zeros(more, np.int64)])


def _digest(rows: Log) -> str:
    columns = (rows.user_ids, rows.item_ids, rows.labels, rows.times)
    return hashlib.sha256(b"".join(np.ascontiguousarray(c).tobytes() for c in columns)).hexdigest()


def _identity_of(folder: Path) -> str:
    return sha256(folder / CF / "model.json")


def _fingerprint(folder: Path, after: Knowledge) -> str:
    parts = [_identity_of(folder), after.fingerprint.model_dump_json()]
    parts += [sha256(path) for path in sorted((folder / BEST).glob("*.safetensors"))]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
