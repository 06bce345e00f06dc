"""Every CF model by name."""

from pathlib import Path

from corarec.cf.base import CFModel, check_dataset
from corarec.cf.borrowed.fused import Fused
from corarec.cf.borrowed.imported import Imported
from corarec.cf.counting.popularity import Popularity
from corarec.cf.counting.rates import Rates
from corarec.cf.factors.binary_mf import BinaryMF
from corarec.cf.factors.lightgcn import LightGCN
from corarec.cf.factors.mf import MF, BiasedMF
from corarec.cf.identity import read_identity
from corarec.cf.item_to_item.ease import EASE
from corarec.cf.item_to_item.item_knn import ItemKNN
from corarec.cf.ridge.als import ALS
from corarec.cf.ridge.content import Content
from corarec.cf.sequences.sasrec import SASRec
from corarec.cf.sequences.sasrec_ce import SASRecCE
from corarec.cf.statistics import Statistics
from corarec.errors import ArtifactError
from corarec.registry import Registry
from corarec.types import Fingerprint

CF_MODELS: Registry[CFModel] = Registry(
    "CF model",
    "corarec.cf_models",
    CFModel,
    {
        "mf": MF,
        "mf-b": BiasedMF,
        "binary-mf": BinaryMF,
        "lightgcn": LightGCN,
        "sasrec": SASRec,
        "rates": Rates,
        "als": ALS,
        "content": Content,
        "statistics": Statistics,
        "popularity": Popularity,
        "ease": EASE,
        "item-knn": ItemKNN,
        "sasrec-ce": SASRecCE,
        "imported": Imported,
        "fused": Fused,
    },
    own_name=lambda kind: str(getattr(kind, "name", "")),
)


def load_cf(directory: Path, dataset: Fingerprint | None = None) -> CFModel:
    """Read a fitted CF model of any kind.

    Give the fingerprint of the dataset that it is to be used with: vectors are found by the
    dataset's own numbers, so a model of another dataset gives other people's.

    Raises
    ------
    ArtifactError
        The folder is missing, incomplete, damaged, holds a model this version does not know, or
        was fitted on another dataset.
    """
    name = read_identity(directory).model
    if name not in CF_MODELS:
        raise ArtifactError(
            f"{directory} holds a CF model '{name}', but this version of corarec knows "
            f"{', '.join(CF_MODELS)}. If another package brings it, install that package."
        )
    model = CF_MODELS[name].load(directory)
    if dataset is not None:
        check_dataset(model, directory, dataset)
    return model
