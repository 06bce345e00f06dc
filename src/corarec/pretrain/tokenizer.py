"""Train the byte-level BPE tokenizer of a small language model."""

from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from corarec.errors import TrainingError

END = "<|endoftext|>"
PAD = "<|pad|>"
_YEARS = [str(year) for year in range(1900, 2030)]

# A year is one token wherever it stands (no space glued to it), any other digit is a token of its
# own, and brackets stand alone, so that "(1994)" always ends in the same two tokens.
_PRETOKEN = (
    r"(?<!\d)(?:19\d\d|20[0-2]\d)(?!\d)|\d|'(?:[sdmt]|ll|ve|re)(?!\p{L})"
    r"| ?\p{L}+| ?[()]| ?[^\s\p{L}\d()]+|\s+(?!\S)|\s+"
)

# Seen this often, a piece is merged long before the vocabulary is full.
_OFTEN = 5000


def train_tokenizer(
    texts: Iterable[str], pieces: int, single: Sequence[str], positions: int
) -> PreTrainedTokenizerFast:
    """Train a tokenizer that puts a start token before each text and pads on the left.

    Parameters
    ----------
    texts
        Documents to learn the merges from.
    pieces
        Size of the vocabulary, special tokens included.
    single
        Pieces that must come out as one token.
    positions
        Longest input of the model, kept in the tokenizer's own settings.

    Raises
    ------
    TrainingError
        A piece of `single` is still more than one token: the vocabulary is too small.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRETOKEN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_pieces(texts, [*single, *_YEARS]), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    for piece in [*single, *_YEARS]:
        tokens = tokenizer.encode(piece, add_special_tokens=False).tokens
        if len(tokens) != 1:
            raise TrainingError(
                f"{piece!r} is {len(tokens)} tokens ({tokens}) in a vocabulary of {pieces} pieces; "
                "give the tokenizer more pieces"
            )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def _with_pieces(texts: Iterable[str], pieces: Sequence[str]) -> Iterator[str]:
    yield from texts
    for piece in pieces:
        # The line break keeps two copies apart; a piece of letters starts with its own space.
        yield f"{piece}\n" * _OFTEN
