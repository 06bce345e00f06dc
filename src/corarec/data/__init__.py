"""Data: from the files of a source to labelled, split and ordered interactions with titles."""

from corarec.data.card import DatasetCard, SplitCounts
from corarec.data.dataset import Dataset, Split
from corarec.data.history import KnowledgePolicy
from corarec.data.knowledge import Catalogue, Knowledge
from corarec.data.labels import LabelConfig
from corarec.data.prepare import DATA_SOURCES, SPLIT_RULES, PrepareConfig, prepare
from corarec.data.sources.synthetic import Synthetic, synthetic_world

__all__ = [
    "DATA_SOURCES",
    "SPLIT_RULES",
    "Catalogue",
    "Dataset",
    "DatasetCard",
    "Knowledge",
    "KnowledgePolicy",
    "LabelConfig",
    "PrepareConfig",
    "Split",
    "SplitCounts",
    "Synthetic",
    "prepare",
    "synthetic_world",
]
