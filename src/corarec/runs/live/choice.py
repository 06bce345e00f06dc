"""Which items are candidates for a person, and in what order scored ones are shown."""

from collections.abc import Sequence

import numpy as np

from corarec.errors import DataError
from corarec.runs.live.pairs import LivePairs
from corarec.runs.live.types import Filters
from corarec.score.candidates import Candidates, candidates, worth
from corarec.score.context import Context
from corarec.score.likeness import Likeness, arranged
from corarec.types import BoolArray, FloatArray, IntArray

NO_FILTERS = Filters()


class LiveChoice(LivePairs):
    """Chooses what is scored for a person, and what of it is shown."""

    def candidates(
        self,
        context: Context,
        *,
        count: int,
        exclude: Sequence[str] = (),
        filters: Filters = NO_FILTERS,
    ) -> Candidates:
        """Return the items to be scored for one person, see `corarec.score.candidates`.

        Raises
        ------
        DataError
            Nobody knows an item to exclude, or a filter is of no column.
        """
        items = self._items.offered()
        items = items[self._items.fitting(filters)[items]]
        left_out = self._numbers(exclude)
        if filters.unseen:
            left_out |= set(self._people.seen(context.user_id).tolist())
        items = items[~np.isin(items, list(left_out))]
        new = ~self._known_items()[items]
        if self.scorer.scores_catalogues:
            items, new, count = items[~new], new[~new], len(items)
        catalogue = self._items.catalogue_now()
        return candidates(
            self.run.cf,
            catalogue,
            context,
            items,
            new,
            self._items.times(items),
            count=count,
            joined=self.run.joined,
        )

    def arranged(
        self,
        item_ids: IntArray,
        scores: FloatArray,
        *,
        k: int,
        diversity: float = 0.0,
        context: Context | None = None,
    ) -> IntArray:
        """Return the places of the `k` best items in order, see `corarec.score.likeness`.

        With a context the scores are joined with what else says how items stand to that person,
        where the run learned to (`corarec learn-ranking`).

        Raises
        ------
        DataError
            The diversity is not from 0 to 1.
        """
        number = isinstance(diversity, int | float) and not isinstance(diversity, bool)
        if not number or not 0 <= diversity <= 1:
            raise DataError(f"The diversity is {diversity!r:.40}; wanted is 0 to 1.")
        if context is not None and self.run.joined is not None and len(item_ids):
            catalogue, offered = self._items.catalogue_now(), self._items.offered()
            cf, joined = self.run.cf, self.run.joined
            scores = worth(cf, catalogue, context, offered, item_ids, scores, joined)
        likeness = None
        if diversity > 0:
            titles = [self._items.title(item) for item in item_ids.tolist()]
            likeness = Likeness(self._vectors(item_ids), titles)
        return np.array(arranged(scores, likeness, k, diversity), dtype=np.int64)

    def _vectors(self, item_ids: IntArray) -> FloatArray:
        """Return the CF vectors of items: [N, d]."""
        if self.run.cf is None:
            return np.zeros((len(item_ids), 0))
        nobody = self._people.context(0)
        table = self.run.cf.vector_table(self.join([(nobody, item_ids)]))
        return table.items.double().numpy()[table.item_rows]

    def _known_items(self) -> BoolArray:
        """Return which items CF knows; without a CF model those of the catalogue: [count + 1]."""
        numbers = np.arange(self._items.count + 1)
        known = (numbers > 0) & (numbers <= self._items.known)
        if self.run.cf is not None:
            return np.asarray(self._vectors(numbers).any(axis=1))
        return np.asarray(known)
