"""The model that ships: whole, small, and what its card says."""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from corarec.backbone import BUNDLED, BackboneConfig, load_backbone

FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def test_the_folder_is_whole_and_small() -> None:
    files = list(BUNDLED.iterdir())
    assert {file.name for file in files} == FILES
    assert sum(file.stat().st_size for file in files) <= 24_000_000


def test_transformers_reads_it_by_itself() -> None:
    model = AutoModelForCausalLM.from_pretrained(BUNDLED)
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    assert 6e6 <= model.num_parameters() <= 12e6
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 1024
    assert model.dtype == torch.bfloat16


def test_answers_and_years() -> None:
    backbone = load_backbone(BackboneConfig())
    tokenizer = backbone.tokenizer
    assert backbone.answers.texts == (" Yes", " No")
    ids = tokenizer("(1994)", add_special_tokens=False)["input_ids"]
    assert [tokenizer.decode([token]) for token in ids] == ["(", "1994", ")"]


def test_it_has_learned_to_answer() -> None:
    """After a question only Yes and No are likely, whatever the right one is."""
    backbone = load_backbone(BackboneConfig())
    prompt = 'Is "Toy Story (1995)" a Comedy movie? Answer with "Yes" or "No". \n#Answer:'
    ids = backbone.tokenizer("#Question: " + prompt, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        chances = backbone.model(input_ids=ids).logits[0, -1].softmax(-1)
    assert chances[[backbone.answers.yes, backbone.answers.no]].sum() > 0.9
