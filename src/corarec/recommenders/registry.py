"""Every system by name, and how one is put together from a dataset and a CF model."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import PlainValidator, SerializeAsAny

from corarec.backbone import load_backbone
from corarec.cf import VectorSource
from corarec.data import Dataset, Knowledge
from corarec.errors import did_you_mean
from corarec.recommenders.binllm import BinLLMRecommender
from corarec.recommenders.cllm4rec import CLLM4RecRecommender
from corarec.recommenders.collm import CoLLMRecommender
from corarec.recommenders.cora import CoraRecommender
from corarec.recommenders.icl import ICLRecommender
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.language import LanguageRecommender, LanguageSystem
from corarec.recommenders.personprompt import PersonPromptRecommender
from corarec.recommenders.prompt4nr import Prompt4NRRecommender
from corarec.recommenders.tallrec import TALLRecRecommender
from corarec.registry import Registry

RECOMMENDERS: Registry[LanguageRecommender] = Registry(
    "system",
    "corarec.systems",
    LanguageRecommender,
    {
        "binllm": BinLLMRecommender,
        "cllm4rec": CLLM4RecRecommender,
        "collm": CoLLMRecommender,
        "cora": CoraRecommender,
        "icl": ICLRecommender,
        "personprompt": PersonPromptRecommender,
        "prompt4nr": Prompt4NRRecommender,
        "tallrec": TALLRecRecommender,
    },
    own_name=lambda kind: str(kind.config_class.model_fields["name"].default),
)


def _chosen(values: Any) -> LanguageSystem:
    """Return the config of the system that `values` name, validated by its own class."""
    if isinstance(values, LanguageSystem):
        return values
    if not isinstance(values, Mapping):
        raise ValueError(  # noqa: TRY004 - pydantic takes a ValueError for a mistake
            f"{values!r} came, wanted are the keys of a system, `name` among them"
        )
    name = values.get("name")
    if not isinstance(name, str) or name not in RECOMMENDERS:
        came = "no `name` came" if name is None else f"there is no system {name!r}"
        hint = did_you_mean(str(name), RECOMMENDERS)
        raise ValueError(f"{came}; choose one of {', '.join(RECOMMENDERS)}. {hint}".rstrip())
    return RECOMMENDERS[name].config_class.model_validate(values)


# Not a union: that would have to import every system of every package at once.
SystemConfig = Annotated[SerializeAsAny[LanguageSystem], PlainValidator(_chosen)]
"""The config of any system; which, its `name` says."""


def build_recommender(
    config: SystemConfig,
    data: Dataset | Knowledge,
    cf: VectorSource | None = None,
    *,
    seed: int = 0,
) -> LanguageRecommender:
    """Load the language model and put the system that `config` describes around it, untrained.

    `seed` is that of the start values; what serving needs of a dataset is enough but for the
    systems that need training rows. The system is in evaluation mode, and on a GPU where
    there is one.
    """
    dataset = data if isinstance(data, Dataset) else None
    ingredients = Ingredients(
        load_backbone(config.backbone, dropout=config.keeps_dropout),
        data.catalogue,
        None if dataset is None else dataset.pairs("train"),
        data.num_users,
        seed,
        cf,
        dataset,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        recommender = RECOMMENDERS[config.name].build(config, ingredients)
    if torch.cuda.is_available() and config.backbone.device_map is None:
        recommender.to("cuda")
    return recommender.eval()
