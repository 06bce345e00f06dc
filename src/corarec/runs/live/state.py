"""What a run knows while it is in use, and the refresh that is in use."""

from typing import Any

import numpy as np

from corarec.cf.fit import seen_rows
from corarec.data import Dataset, Knowledge
from corarec.errors import DataError
from corarec.runs.live.items import Items
from corarec.runs.live.people import People
from corarec.runs.live.types import Limits, Told
from corarec.runs.refresh import Refresh, newest_refresh, open_refresh
from corarec.runs.run import Run
from corarec.score.scorer import Scorer
from corarec.types import BoolArray, Histories, Pairs

NEWEST = "newest"
"""The refresh that is in use."""
LIMITS = Limits()


class LiveState:
    """A run with what it knows of people and items; a refresh of it can be swapped in."""

    def __init__(
        self, run: Run, *, follow: bool = True, until: int | None = None, limits: Limits = LIMITS
    ) -> None:
        if until is not None and run.knowledge.timeline.times is None:
            raise DataError(
                "`until` needs the times of the dataset's rows, and this run knows none. Leave it "
                "out, or open the run with its dataset."
            )
        self.run, self.follow, self._until, self._limits = run, follow, until, limits
        self._trained = None if run.cf is None else run.cf.model
        self._refresh: Refresh | None = None
        self._learned: list[tuple[str, str, Told]] = []
        """What was told here and is a part of the refresh in use."""
        self._policy = run.config.knowledge.policy
        self._items = self._new_items()
        self._people = self._new_people()

    @property
    def scorer(self) -> Scorer:
        """What scores pairs."""
        return self.run.scorer

    @property
    def knowledge(self) -> Knowledge:
        """What is known but for what was told: of the dataset, or of the refresh in use."""
        return self.run.knowledge if self._refresh is None else self._refresh.knowledge

    def newest_refresh(self) -> str | None:
        """Return the refresh that `corarec refresh` made last; None: there is none."""
        return None if self.run.folder.is_file() else newest_refresh(self.run.folder)

    def swap(self, refresh: str | None = NEWEST) -> str | None:
        """Take a refresh of the run into use, with all that was told since; return which.

        It is opened and checked first, so that a damaged one changes nothing. None goes back to the
        run as it was trained. Between two answers; contexts from before are not to be used.

        Raises
        ------
        ArtifactError
            It is not there, damaged, or of another run.
        """
        name = self.newest_refresh() if refresh == NEWEST else refresh
        before = None if self._refresh is None else self._refresh.record.fingerprint
        if name == before:
            return name
        opened = None if name is None else open_refresh(self.run.folder, name)
        cf, told, people, items = self.run.cf, self._people.all_told(), self._people, self._items
        assert cf is not None
        assert self._trained is not None
        cf.swap(self._trained if opened is None else opened.model)
        self._refresh = opened
        self._items, self._people = self._new_items(), self._new_people()
        for number in items.added():
            self._items.add_again(items, number)
        for number in items.removed():
            self._items.remove(str(items.raw(number)), in_use=True)
        for user in people.forgotten():
            self._people.forget(user)
        learned, self._learned = self._learned, []
        for user, raw, event in [*learned, *((u, str(items.raw(e.item)), e) for u, e in told)]:
            if not self._items.has(raw):
                # It was removed, and histories keep its title.
                self._items.add_again(items, event.item)
                self._items.remove(raw, in_use=True)
            number = self._items.number(raw, removed=True)
            if self._people.has_learned(user, number, event):
                self._learned.append((user, raw, event))
            else:
                self._people.tell(user, number, event.kind, event.time, event.stars)
        return name

    def _new_items(self) -> Items:
        run = self.run
        items = Items(run.knowledge.catalogue, self._limits, _metadata(run.parts.splits))
        if self._refresh is not None:
            catalogue = self._refresh.knowledge.catalogue
            for number in range(run.knowledge.catalogue.num_items + 1, catalogue.num_items + 1):
                (raw,) = catalogue.vocabulary.raw(np.array([number]))
                items.add(raw, catalogue.titles[number])
        return items

    def _new_people(self) -> People:
        run, cf, knowledge = self.run, self.run.cf, self.knowledge
        everything = np.ones(len(knowledge.timeline.user_ids), dtype=np.bool_)
        people = People(
            knowledge,
            _fitted_rows(run) if self._refresh is None else everything,
            self._limits,
            until=self._until,
            streams=self._policy == "streaming" and knowledge.timeline.times is not None,
        )
        if cf is not None:
            cf.follow(people if self.follow else None)
        return people


def _fitted_rows(run: Run) -> BoolArray:
    """Return which rows of what is known took part in the fit of the CF model: [N].

    Where that is not told (a packed run) they are all rows of the users whom CF knows.
    """
    line, cf = run.knowledge.timeline, run.cf
    count = len(line.user_ids)
    if cf is None or cf.model.report is None:
        return np.ones(count, dtype=np.bool_)
    if run.parts.splits is not None:
        return np.asarray(seen_rows(run.parts.splits, cf.model.report))
    if cf.model.takes != "rows":
        return np.ones(count, dtype=np.bool_)
    users = np.arange(run.knowledge.num_users + 1)
    empty = Histories.repeated(np.zeros(0, np.int64), len(users))
    table = cf.model.vector_table(Pairs(users, np.zeros(len(users), np.int64), empty))
    known = table.users.any(dim=1).numpy()[table.user_rows]
    return np.asarray(known[line.user_ids])


def _metadata(dataset: Dataset | None) -> Any:
    return None if dataset is None else dataset.items
