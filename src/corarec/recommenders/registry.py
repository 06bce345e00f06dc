"""Every system by name, and how one is put together from a dataset and a CF model."""

from typing import Annotated

import torch
from pydantic import Field

from corarec.backbone import load_backbone
from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.recommenders.collm import CoLLMRecommender, CoLLMSystem
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.recommenders.icl import ICLRecommender, ICLSystem
from corarec.recommenders.llm import Catalogue, Ingredients, PromptRecommender
from corarec.recommenders.personprompt import PersonPromptRecommender, PersonPromptSystem
from corarec.recommenders.prompt4nr import Prompt4NRRecommender, Prompt4NRSystem
from corarec.recommenders.tallrec import TALLRecRecommender, TALLRecSystem

SystemConfig = Annotated[
    CoLLMSystem | CoraSystem | ICLSystem | PersonPromptSystem | Prompt4NRSystem | TALLRecSystem,
    Field(discriminator="name"),
]

RECOMMENDERS: dict[str, type[PromptRecommender]] = {
    "collm": CoLLMRecommender,
    "cora": CoraRecommender,
    "icl": ICLRecommender,
    "personprompt": PersonPromptRecommender,
    "prompt4nr": Prompt4NRRecommender,
    "tallrec": TALLRecRecommender,
}


def build_recommender(
    config: SystemConfig, dataset: Dataset, cf: VectorSource | None = None, *, seed: int = 0
) -> PromptRecommender:
    """Load the language model and put the system that `config` describes around it, untrained.

    `seed` is that of the start values. The system is in evaluation mode, and on a GPU where
    there is one.
    """
    catalogue = Catalogue(
        dataset.titles, dataset.card.item_noun_singular, dataset.card.item_noun_plural
    )
    ingredients = Ingredients(
        load_backbone(config.backbone),
        catalogue,
        dataset.pairs("train"),
        dataset.num_users,
        seed,
        cf,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        recommender = RECOMMENDERS[config.name].build(config, ingredients)
    if torch.cuda.is_available() and config.backbone.device_map is None:
        recommender.to("cuda")
    return recommender.eval()
