"""What there is to build a system from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corarec.backbone import Backbone
from corarec.cf import VectorSource
from corarec.data import Catalogue, Dataset
from corarec.errors import ConfigError
from corarec.prompts import PromptConfig, PromptEncoder, Slot
from corarec.types import Pairs


@dataclass(frozen=True)
class Ingredients:
    """What there is to build a system from."""

    backbone: Backbone
    catalogue: Catalogue
    train_pairs: Pairs | None
    """The pairs of the training split, for controls that confuse their users; None in a packed run,
    which has no such rows."""
    num_users: int
    """`U`, the users of the dataset."""
    seed: int
    """Of the start values."""
    cf: VectorSource | None = None
    """A fitted CF model, for systems that read its vectors."""
    dataset: Dataset | None = None
    """The dataset, for systems whose prompts show training rows; None in a packed run."""

    @property
    def num_items(self) -> int:
        """`I`, the items of the dataset."""
        return len(self.catalogue.titles) - 1

    def encoder(
        self,
        config: PromptConfig,
        slots: Mapping[str, Slot] | None = None,
        *,
        framed: bool = True,
    ) -> PromptEncoder:
        """Return what makes prompts of pairs, `slots` being those that the system fills.

        Without `framed` the turns of a chat are left out.

        Raises
        ------
        ConfigError
            The prompt shows ratings, and the dataset has none.
        """
        stars = None if self.dataset is None else self.dataset.timeline.stars
        if config.shows_stars and stars is not None and np.isnan(stars).all():
            raise ConfigError(
                "system.prompt.past_title shows {stars}, and the dataset has no ratings. Leave "
                "{stars} out, or take a dataset whose source has them."
            )
        frame = self.backbone.frame
        return PromptEncoder(
            self.backbone.tokenizer,
            config,
            self.catalogue.titles,
            slots=slots,
            noun=self.catalogue.noun,
            nouns=self.catalogue.nouns,
            frame=(frame.before, frame.after) if framed else ("", ""),
            max_length=getattr(self.backbone.model.config, "max_position_embeddings", None),
        )
