"""What several rooms' tests need."""

import os
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the project, where there is one."""
    default = Path(__file__).parents[1].parent / "shared"
    folder = Path(os.environ.get("CORAREC_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set CORAREC_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE with a start token, in which " Yes" and " No" are one token each."""
    text = [
        'Answer with "Yes" or "No". \n#Answer: Yes',
        "#Answer: No",
        "#Question: A user has given",
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(text * 10, trainer)
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)]),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
