"""Pretrain a small causal language model from a recipe, on the Hugging Face Trainer."""

from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from corarec.errors import ArtifactError, ConfigError
from corarec.files import atomic_directory, read_json, write_json
from corarec.locks import LOCK, locked
from corarec.pretrain.corpus import Corpus, Sources, tokenizer_texts, write_corpus
from corarec.pretrain.monitor import Monitor
from corarec.pretrain.recipe import ModelConfig, PretrainingRecipe, load_recipe
from corarec.pretrain.tokenizer import train_tokenizer
from corarec.pretrain.trainer import (
    LanguageTrainer,
    StepBatches,
    last_checkpoint,
    remove_old_checkpoints,
)
from corarec.staging import sweep


def pretrain_backbone(recipe_path: Path, output: Path) -> Path:
    """Pretrain a model as a recipe says; called again after an interruption, it goes on.

    Parameters
    ----------
    recipe_path
        A YAML file, see `PretrainingRecipe`.
    output
        Folder for `tokenizer/`, the tokenised `corpus/`, checkpoints, `metrics.jsonl` and the
        final model.

    Returns
    -------
    Path
        The folder of the final model in bf16 with its tokenizer, `output/model`.

    Raises
    ------
    ConfigError
        The recipe is wrong, or `output` holds other files.
    DataError
        A source cannot be read.
    ArtifactError
        `output` holds a run of another recipe.
    InUseError
        Another process pretrains there.
    TrainingError
        The loss is not finite, or the tokenizer cannot hold the pieces asked for.
    """
    recipe = load_recipe(recipe_path)
    _claim(output, recipe)
    with locked(output / LOCK, f"The pretraining folder {output}"):
        _claim(output, recipe)  # again: another recipe may have come in between
        return _pretrain(recipe, output)


def _pretrain(recipe: PretrainingRecipe, output: Path) -> Path:
    sweep(output)
    tokenizer, corpus = _prepare(recipe, output)
    batches = StepBatches(corpus, recipe)
    torch.manual_seed(recipe.seed)
    model = new_model(recipe.model, tokenizer)
    batch_tokens = recipe.optimizer.batch_tokens
    monitor = Monitor(output, tokenizer, corpus.held_out, recipe.prompts, batch_tokens)
    trainer = LanguageTrainer(model, recipe, batches, output, [monitor], monitor.measure)
    remove_old_checkpoints(output)
    checkpoint = last_checkpoint(output)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    final = output / "model"
    with atomic_directory(final, "language model", keep_foreign=True) as temporary:
        export_backbone(model, tokenizer, temporary)
    return final


def new_model(config: ModelConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama model with fresh weights from torch's current random state."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_value_heads,
            max_position_embeddings=config.positions,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager",
        )
    )


def export_backbone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a model in bf16 with its tokenizer."""
    model.config.use_cache = True
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _claim(output: Path, recipe: PretrainingRecipe) -> None:
    """Mark `output` as the folder of this recipe.

    Raises
    ------
    ConfigError
        It has files in it, but no recipe.
    ArtifactError
        It holds a run of another recipe.
    """
    resolved = output / "recipe.json"
    values = recipe.model_dump(mode="json", exclude={"data_directory"})
    if resolved.exists() and read_json(resolved) != values:
        raise ArtifactError(
            f"{output} holds a run of another recipe (see {resolved}). "
            "Give another output folder, or delete this one to start again."
        )
    sweep(output)
    if not resolved.exists() and output.exists() and any(output.iterdir()):
        raise ConfigError(
            f"{output} has files in it but no {resolved.name}, so it is no pretraining run. "
            "Choose another --output."
        )
    if not resolved.exists():
        write_json(resolved, values)


def _prepare(recipe: PretrainingRecipe, output: Path) -> tuple[PreTrainedTokenizerFast, Corpus]:
    """Open the tokenizer and the corpus of the run; make them first where they are not there."""
    tokenizer_folder, corpus_folder = output / "tokenizer", output / "corpus"
    if not corpus_folder.exists():
        sources = Sources(recipe)
        config = recipe.tokenizer
        tokenizer = train_tokenizer(
            tokenizer_texts(sources), config.pieces, config.single, recipe.model.positions
        )
        with atomic_directory(tokenizer_folder, "tokenizer", keep_foreign=True) as temporary:
            tokenizer.save_pretrained(temporary)
        write_corpus(sources, tokenizer, corpus_folder)
    return AutoTokenizer.from_pretrained(tokenizer_folder), Corpus.open(corpus_folder)
