"""The contract of the CF models that ship."""

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from corarec.cf.data import FitData
from corarec.cf.registry import CF_MODELS
from corarec.testing import CFConformance


class TestMF(CFConformance):
    model, options = "mf", {"embedding_size": 8, "batch_size": 32, "init_std": 0.1}


class TestBiasedMF(CFConformance):
    model, options = "mf-b", {"embedding_size": 8, "batch_size": 32, "init_std": 0.1}
    score_is_product = False


class TestBinaryMF(CFConformance):
    model = "binary-mf"
    options: ClassVar[dict[str, Any]] = {"embedding_size": 8, "batch_size": 32, "patience": 20}
    fold_tolerance = 0.25


class TestLightGCN(CFConformance):
    model, options = "lightgcn", {"embedding_size": 8, "batch_size": 32}
    fold_tolerance = 0.25


class TestSASRec(CFConformance):
    model, options = "sasrec", {"embedding_size": 8, "batch_size": 64, "max_length": 6}


class TestRates(CFConformance):
    model, learns_groups, score_is_product = "rates", False, False
    fold_tolerance = 1e-9


class TestALS(CFConformance):
    model, options = "als", {"embedding_size": 4, "penalty": 1.0}
    fold_tolerance = 1e-6
    score_is_product = False


class TestContent(CFConformance):
    model, learns_groups, score_is_product = "content", False, False


class TestStatistics(CFConformance):
    model, knowledge = "statistics", "snapshot"
    options: ClassVar[dict[str, Any]] = {"leaf_rows": 10, "rounds": 30, "bags": 2}
    score_is_product = False


class TestPopularity(CFConformance):
    model, learns_groups, score_is_product = "popularity", False, False


class TestEASE(CFConformance):
    model, options = "ease", {"embedding_size": 12, "penalty": 5.0}
    score_is_product = False


class TestItemKNN(CFConformance):
    model, options = "item-knn", {"embedding_size": 32, "shrinkage": 1.0}
    score_is_product = False


class TestSASRecCE(CFConformance):
    model = "sasrec-ce"
    options: ClassVar[dict[str, Any]] = {
        "embedding_size": 8,
        "max_length": 6,
        "batch_size": 8,
        "learning_rate": 0.02,
    }


class TestImported(CFConformance):
    model = "imported"

    @staticmethod
    def prepare(options: dict[str, Any], data: FitData, folder: Path) -> dict[str, Any]:
        for half, largest in (("user", data.num_users), ("item", data.num_items)):
            ids = list(range(1, largest))
            vectors = [[1.0, 1.0 if number % 2 else -1.0] for number in ids]
            frame = pl.DataFrame({f"{half}_id": ids, "vector": vectors})
            frame.write_parquet(folder / f"{half}s.parquet")
        return {half: folder / f"{half}.parquet" for half in ("users", "items")}


class TestFused(CFConformance):
    model, score_is_product = "fused", False

    @staticmethod
    def prepare(options: dict[str, Any], data: FitData, folder: Path) -> dict[str, Any]:
        for kind in (TestMF, TestSASRec):
            part = CF_MODELS[kind.model]
            component = part(part.config_class.model_validate(kind.options))
            component.fit(data, seed=0)
            component.save(folder / kind.model)
        return {"components": (folder / "mf", folder / "sasrec")}


def test_every_model_is_tested() -> None:
    tested = {kind.model for kind in CFConformance.__subclasses__() if kind.__module__ == __name__}
    assert tested == set(CF_MODELS.built_in)
