"""The weights of one pair of a run, written as a plain LoRA."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corarec.backbone import BackboneConfig
from corarec.backbone.load import BUNDLED
from corarec.errors import ConfigError
from corarec.files import atomic_directory, real_place
from corarec.ownership import check_inputs_survive
from corarec.recommenders.llm import PromptRecommender
from corarec.runs.open import Parts
from corarec.types import Pairs

KIND = "LoRA of a pair"
BUNDLED_NAME = "bundled"


@dataclass(frozen=True)
class ExportedLora:
    """What was written."""

    output: Path
    base_model: str
    """The frozen language model that it goes onto: a name on the hub or a folder."""
    dtype: str
    """The precision of its weights in the run; `auto` is that of its files."""
    user_known: bool
    """Whether the CF model knows the user; else the user half of the weights says nothing."""
    item_known: bool
    """Whether an item was named that the CF model knows."""
    prompt: str | None
    """What the run asks about the pair, as text; None without an item."""
    answers: tuple[str, str]
    """How the positive and the negative answer are spelled after the prompt, one token each."""


def export_pair(
    run: Path, parts: Parts, pair: Pairs, new_titles: Sequence[str], output: Path
) -> ExportedLora:
    """Write the weights of one pair into the folder `output`; as in `Run.export_lora`.

    Item 0 of the pair is no item: the weights are of the user alone.
    """
    recommender, backbone = parts.recommender, parts.config.system.backbone
    base_model = _base_model(backbone)
    output = real_place(output)
    check_inputs_survive(output, [run])
    if run.is_dir() and run.resolve() in output.parents:
        raise ConfigError(f"{output} lies inside the run. Choose an --output beside it.")
    with atomic_directory(output, KIND) as new:
        recommender.write_lora(pair, new, base_model=base_model, revision=backbone.revision)
    assert parts.cf is not None  # a system without has no weights of a pair
    user, item = parts.cf.vector_table(pair).lookup(np.zeros(1, np.int64))
    assert isinstance(recommender, PromptRecommender)
    prompt = None
    if pair.item_ids[0]:
        past = pair.histories
        shown = recommender.shown(pair, new_titles)
        pair = replace(pair, histories=replace(past, start=past.end - shown))
        (prompt,) = recommender.encoder.render(pair, new_titles)
    return ExportedLora(
        output=output,
        base_model=base_model,
        dtype=backbone.dtype,
        user_known=bool(user.any()),
        item_known=bool(item.any()),
        prompt=prompt,
        answers=recommender.answers.texts,
    )


def _base_model(backbone: BackboneConfig) -> str:
    """Return where the frozen model is found: the bundled one's folder, another, or a name."""
    if backbone.random_weights:
        raise ConfigError(
            "The language model of this run has random weights (backbone.random_weights), which "
            "stand in no file that a LoRA could name. Export a run on a pretrained model."
        )
    if backbone.model == BUNDLED_NAME:
        return str(BUNDLED)
    place = Path(backbone.model)
    if place.is_absolute() and not place.exists():
        raise ConfigError(
            "The language model of this run lies in its archive, where no engine can read it. "
            "Unpack the archive into a folder and export from that."
        )
    return str(place.resolve()) if place.is_dir() else backbone.model
