"""Every CF model by name."""

from pathlib import Path

from corarec.cf.als import ALS
from corarec.cf.base import CFModel, read_identity
from corarec.cf.fused import Fused
from corarec.cf.imported import Imported
from corarec.cf.lightgcn import LightGCN
from corarec.cf.mf import MF, BiasedMF
from corarec.cf.rates import Rates
from corarec.cf.sasrec import SASRec
from corarec.errors import ArtifactError

CF_MODELS: dict[str, type[CFModel]] = {
    "mf": MF,
    "mf-b": BiasedMF,
    "lightgcn": LightGCN,
    "sasrec": SASRec,
    "rates": Rates,
    "als": ALS,
    "imported": Imported,
    "fused": Fused,
}


def load_cf(directory: Path) -> CFModel:
    """Read a fitted CF model of any kind.

    Raises
    ------
    ArtifactError
        The folder is missing, incomplete, damaged, or holds a model this version does not know.
    """
    name = read_identity(directory)["model"]
    if name not in CF_MODELS:
        raise ArtifactError(
            f"{directory} holds a CF model '{name}', but this version of corarec knows "
            f"{', '.join(CF_MODELS)}."
        )
    return CF_MODELS[name].load(directory)
