"""CLLM4Rec (arXiv 2311.01343): users and items as tokens, learned from rows and texts."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from corarec.backbone import Backbone
from corarec.errors import ConfigError, DataError
from corarec.recommenders.base import TrainingData, Validate
from corarec.recommenders.cllm4rec_documents import (
    CLLM4RecWording,
    ContentDocuments,
    ContextPrompts,
    Documents,
    InteractionDocuments,
    MixedDocuments,
    RecommendationDocuments,
    Texts,
    with_items,
)
from corarec.recommenders.cllm4rec_rows import Content, contents, users_with_items
from corarec.recommenders.cllm4rec_tokens import BothSides, ExtendedVocabulary, IdTokens
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.language import LanguageRecommender, LanguageSystem, Reading
from corarec.recommenders.phase import Phase
from corarec.recommenders.ranking_validation import RankingValidation, SampleLoss
from corarec.types import IntArray, Pairs

COLLABORATIVE, CONTENT, RECOMMENDATION = "collaborative", "content", "recommendation"
TASKS = {
    "content": (CONTENT,),
    "mutual": (COLLABORATIVE, CONTENT),
    "recommend": (RECOMMENDATION, CONTENT),
}
"""The kinds of documents that a phase learns from; an epoch of one, then an epoch of the other."""
SIDES = {COLLABORATIVE: COLLABORATIVE, CONTENT: CONTENT, RECOMMENDATION: COLLABORATIVE}
"""The parameter group that learns from each kind."""


class CLLM4RecSystem(LanguageSystem):
    """CLLM4Rec as one row of the benchmark.

    The authors train in three phases, which a recipe writes as `train.phases`: the content side
    alone (`task: content`), both sides in turn (`mutual`), and the recommendation in turn with the
    content side (`recommend`). Interactions are the liked rows of train.
    """

    parameter_groups: ClassVar[tuple[str, ...] | None] = (COLLABORATIVE, CONTENT)
    tasks: ClassVar[tuple[str, ...]] = tuple(TASKS)

    name: Literal["cllm4rec"] = "cllm4rec"
    wording: CLLM4RecWording = CLLM4RecWording()
    """The words around users and items."""
    content: Content = "auto"
    """What the content side reads: the reviews of the training rows, descriptions of all items
    (titles and the columns beside them), both or nothing; `auto` is reviews where the dataset has
    them, else descriptions."""
    reviews_of: Literal["liked", "all"] = "liked"
    """Whose reviews: those of liked rows, which are the interactions, or of all training rows."""
    mutual_weight: Annotated[float, Field(ge=0)] = 1.0
    """Lambda, of the squared distance between the two embeddings of a user or item, summed over its
    occurrences in a batch; each side sees the other as a constant."""
    masked: Annotated[float, Field(ge=0, le=1)] = 0.2
    """The share of a user's items, at least one, that the prompt of the recommendation hides."""
    start_std: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the embeddings' start values."""
    max_length: Annotated[int, Field(gt=0)] | None = None
    """Longest document in tokens; longer ones lose their tail, prompts of recommendations items.
    None: the model's own limit."""
    dropout: bool = True
    """Leave the language model's own dropout on in training, as the authors do."""

    @property
    def keeps_dropout(self) -> bool:
        """Whether the language model keeps its own dropout."""
        return self.dropout


class CLLM4RecRecommender(LanguageRecommender):
    """A frozen language model with a learned token for every user and item on two sides.

    The collaborative side learns to tell the items of users, the content side texts; each side has
    its own embeddings, which the mutual regularisation pulls together. A score is the logit of an
    item among all of them, from one forward pass for whoever asks. Whom interactions do not know
    has the embedding that texts taught, else the mean of all; see `BothSides`.
    """

    config_class: ClassVar[type[LanguageSystem]] = CLLM4RecSystem
    metric = RankingValidation.metric
    higher_is_better = True

    def __init__(
        self,
        config: CLLM4RecSystem,
        backbone: Backbone,
        texts: Texts,
        collaborative: IdTokens,
        content: IdTokens,
    ) -> None:
        super().__init__(backbone.model, backbone)
        self.system = config
        self.texts = texts
        self.vocabulary = texts.vocabulary
        self.collaborative = collaborative
        self.content = content
        self.both_sides = BothSides(collaborative, content)
        self.task = CLLM4RecSystem.tasks[-1]

    @classmethod
    def build(cls, config: CLLM4RecSystem, ingredients: Ingredients) -> Self:
        """Make two tokens for every user and item of the dataset.

        Raises
        ------
        ConfigError
            The language model is to be asked in turns of a chat, or reads fewer tokens than wanted.
        """
        backbone = ingredients.backbone
        if config.backbone.prompt_style != "plain":
            raise ConfigError(
                "CLLM4Rec lets the language model go on with a text, and asks it nothing in a turn "
                f"of a chat: set system.backbone.prompt_style to plain, not "
                f"{config.backbone.prompt_style}."
            )
        limit = getattr(backbone.model.config, "max_position_embeddings", None)
        if limit is not None and (config.max_length or 0) > limit:
            raise ConfigError(
                f"system.max_length is {config.max_length}, but the language model reads {limit} "
                f"tokens at most. Set it to {limit} or less, or leave it out."
            )
        words = backbone.model.get_input_embeddings().weight.shape[0]
        vocabulary = ExtendedVocabulary(words, ingredients.num_users, ingredients.num_items)
        sides = (IdTokens(vocabulary, backbone.hidden_size, config.start_std) for _ in range(2))
        texts = Texts(config.wording, backbone.tokenizer, vocabulary, config.max_length or limit)
        return cls(config, backbone, texts, *sides)

    @classmethod
    def check(cls, data: TrainingData) -> None:
        """See that something is liked, to learn from and to choose by."""
        for what, rows, advice in data.parts:
            if not data.dataset.labels(rows).any():
                raise ConfigError(f"None of the {len(rows)} {what} rows is liked. {advice}")

    def own_modules(self) -> dict[str, nn.Module]:
        """Return the embeddings of both sides."""
        return {COLLABORATIVE: self.collaborative, CONTENT: self.content}

    @classmethod
    def chosen_by(cls, phase: Phase) -> tuple[str, bool]:
        """Return the loss for phases that only learn documents."""
        if phase.task in (None, "recommend"):
            return RankingValidation.metric, True
        return SampleLoss.metric, False

    def check_phase(self, phase: Phase, data: TrainingData) -> None:
        """Refuse a phase without documents, or one whose ranking nobody can be asked for."""
        super().check_phase(phase, data)
        task = phase.task or CLLM4RecSystem.tasks[-1]
        self._parts(task, data)
        if task == "recommend":
            RankingValidation(self, data)

    def begin(self, phase: Phase) -> None:
        """Take up a phase, its task too."""
        super().begin(phase)
        self.task = phase.task or CLLM4RecSystem.tasks[-1]
        self.metric, self.higher_is_better = self.chosen_by(phase)

    def examples(self, data: TrainingData) -> MixedDocuments:
        """Return the documents of the phase's task from which a trained group learns.

        Raises
        ------
        ConfigError
            There are none.
        """
        parts = self._parts(self.task, data)
        sides = {COLLABORATIVE: self.collaborative, CONTENT: self.content}
        for kind, documents in parts.items():
            sides[SIDES[kind]].mark_known(documents.tokens)
        return MixedDocuments(parts)

    def _parts(self, task: str, data: TrainingData) -> dict[str, Documents]:
        """Return the documents of a task by their kind, those kinds that there are."""
        sides = {COLLABORATIVE: self.collaborative, CONTENT: self.content}
        trained = [name for name, side in sides.items() if side.weight.requires_grad]
        kinds = [kind for kind in TASKS[task] if SIDES[kind] in trained]
        made = {kind: self._documents(kind, data) for kind in kinds}
        parts = {kind: documents for kind, documents in made.items() if len(documents)}
        if not parts:
            raise ConfigError(
                f"The task {task!r} finds nothing to learn from for {', '.join(trained)}: "
                f"system.content is {self.system.content!r}, and the dataset has "
                f"{'no ' * (data.dataset.texts is None)}reviews. Change system.content, or the "
                "task or the parameters of the phase."
            )
        return parts

    def _documents(self, kind: str, data: TrainingData) -> Documents:
        dataset, rows = data.dataset, data.train_rows
        liked = rows[dataset.labels(rows) == 1]
        if kind == CONTENT:
            of = liked if self.system.reviews_of == "liked" else rows
            return ContentDocuments(self.texts, *contents(dataset, of, self.system.content))
        users, items = users_with_items(dataset.pairs(liked))
        if kind == COLLABORATIVE:
            return InteractionDocuments(self.texts, users, items)
        return RecommendationDocuments(self.texts, users, items, self.system.masked)

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch of documents, that of its kinds added up: a scalar."""
        losses: dict[str, Callable[..., torch.Tensor]] = {
            COLLABORATIVE: self._collaborative_loss,
            CONTENT: self._content_loss,
            RECOMMENDATION: self._recommendation_loss,
        }
        kinds = dict.fromkeys(name.partition(".")[0] for name in batch)
        return torch.stack(
            [
                losses[kind](
                    **{
                        name.removeprefix(f"{kind}."): values
                        for name, values in batch.items()
                        if name.startswith(f"{kind}.")
                    }
                )
                for kind in kinds
            ]
        ).sum()

    def _collaborative_loss(
        self, ids: torch.Tensor, mask: torch.Tensor, main: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean negative log-likelihood of each item after those before it: a scalar."""
        hidden = self._hidden(ids, mask, self.collaborative)
        predicted = main[:, :-1] & main[:, 1:]
        logits = self._item_logits(hidden[:, :-1][predicted], self.collaborative.items)
        first_item = self.vocabulary.words + self.vocabulary.first_item
        targets = ids[:, 1:][predicted] - first_item
        return _mean_loss(self._among_known(logits), targets) + self._distance(
            ids, self.collaborative, self.content
        )

    def _content_loss(
        self, ids: torch.Tensor, mask: torch.Tensor, main: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean negative log-likelihood of each word after those before it: a scalar."""
        predicted = main[:, :-1] & main[:, 1:]
        width = int(predicted.any(dim=0).sum()) + 1  # main texts stand at the end of every row
        output = self.model(
            inputs_embeds=self._embedded(ids, self.content),
            attention_mask=mask,
            logits_to_keep=torch.arange(ids.shape[1] - width, ids.shape[1], device=ids.device),
            use_cache=False,
            **self.positions(mask),
        )
        kept = predicted[:, -width + 1 :] if width > 1 else predicted[:, :0]
        logits = output.logits[:, :-1][kept].float()
        targets = ids[:, 1:][:, -width + 1 :][kept] if width > 1 else ids[:, :0].flatten()
        return _mean_loss(logits, targets) + self._distance(ids, self.content, self.collaborative)

    def _recommendation_loss(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        items: torch.Tensor,
        shown: torch.Tensor,
        first: torch.Tensor,
    ) -> torch.Tensor:
        """Return the mean over users of minus the log-likelihood of all their items: a scalar."""
        first_item = self.vocabulary.words + self.vocabulary.first_item
        ids = with_items(ids, items, shown, first, first_item, draw=self.training)
        hidden = self._hidden(ids, mask, self.collaborative)[:, -1]
        logits = self._among_known(self._item_logits(hidden, self.collaborative.items))
        likelihoods = functional.log_softmax(logits, dim=-1).gather(1, items)
        loss = -likelihoods.masked_fill(items == 0, 0.0).sum(dim=1).mean()
        # Shown items stand among the targets: each of a user's items counts once.
        targets = (items + first_item)[items > 0]
        users = ids[(ids >= self.vocabulary.words) & (ids < first_item)]
        occurrences = torch.cat([users, targets])
        return loss + self._distance(occurrences, self.collaborative, self.content)

    def _distance(self, ids: torch.Tensor, own: IdTokens, other: IdTokens) -> torch.Tensor:
        """Return the regulariser over the users and items among `ids` that both sides know."""
        numbers = ids[ids >= self.vocabulary.words] - self.vocabulary.words
        numbers = numbers[own.known[numbers] & other.known[numbers]]
        distances = own(numbers) - other(numbers).detach()
        return self.system.mutual_weight * distances.square().sum()

    def _embedded(self, ids: torch.Tensor, tokens: nn.Module) -> torch.Tensor:
        """Return what the language model reads in place of tokens: [B, T, H]."""
        is_word = ids < self.vocabulary.words
        words = self.model.get_input_embeddings()(torch.where(is_word, ids, 0))
        own = tokens(torch.where(is_word, 0, ids - self.vocabulary.words))
        return torch.where(is_word[..., None], words, own.to(words.dtype))

    def _hidden(self, ids: torch.Tensor, mask: torch.Tensor, tokens: nn.Module) -> torch.Tensor:
        """Return the last hidden states in float32: [B, T, H]."""
        model = self.base_model
        body = model.base_model if model.base_model is not model else model.get_decoder()
        output = body(
            inputs_embeds=self._embedded(ids, tokens),
            attention_mask=mask,
            use_cache=False,
            **self.positions(mask),
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden.to(self.collaborative.weight.device).float()

    def _item_logits(self, hidden: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the logits of items 0..I, whose embeddings are the head: [..., I + 1]."""
        return hidden @ items.T

    def _among_known(self, logits: torch.Tensor) -> torch.Tensor:
        """Return logits that leave out items that occur in no training row."""
        return logits.masked_fill(~self.collaborative.known_items, -torch.inf)

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> ContextPrompts:
        """Gather the prompts of `pairs`; a new item in a history is one that nobody knows.

        Raises
        ------
        DataError
            A new item is asked about, whose title nothing reads.
        """
        new = pairs.item_ids - self.vocabulary.num_items - 1
        if new_titles and (new >= 0).any():
            title = new_titles[int(new[new >= 0][0])]
            raise DataError(
                f"The title {title!r:.80} came of a new item, but CLLM4Rec reads no titles: an "
                "item is a token of its own, which is learned. Ask about an item of the dataset, "
                "or ask a system that reads titles, such as cora or tallrec."
            )
        return ContextPrompts(self.texts, pairs)

    def model_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the embeddings of prompts, users and items among them: [B, T, H]."""
        return {"inputs_embeds": self._embedded(batch["input_ids"], self.both_sides)}

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the item that each pair asks about: [B]."""
        hidden = self._asked(batch["input_ids"], batch["attention_mask"])
        items = self.both_sides(batch["item_ids"] + self.vocabulary.first_item)
        return (hidden * items).sum(dim=-1)

    def catalogue_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits of all items to whoever asks: [B, I + 1]; item 0 is one unknown."""
        hidden = self._asked(batch["input_ids"], batch["attention_mask"])
        return self._item_logits(hidden, self.both_sides.items())

    def _asked(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self._hidden(ids, mask, self.both_sides)[:, -1]

    def validation(self, data: TrainingData) -> Validate:
        """Return what ranks the catalogue, or the loss where a phase only learns documents."""
        if self.task == "recommend":
            return RankingValidation(self, data)
        return SampleLoss(self, self.examples(data))

    def shown(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IntArray:
        """Return how many liked items stand in each prompt, the last of them: [N]."""
        return self.inputs(pairs).shown

    def reading(self, pairs: Pairs) -> Reading:
        """Return the prompts of recommendations."""
        wording = self.texts.recommendation
        fixed = len(wording.fill({"user": [0], "items": []}))
        first = pairs.take(slice(0, 1))
        items = " ".join(f"item_{item}" for item in np.unique(first.histories[0]))
        return Reading(
            tokens=pairs.histories.lengths() + fixed,
            max_length=self.texts.max_length,
            example=wording.show({"user": f"user_{first.user_ids[0]}", "items": items}),
            answers="none: every item has a logit of its own",
        )


def _mean_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy; zero where there is nothing to predict."""
    loss: torch.Tensor = functional.cross_entropy(logits, targets, reduction="sum")
    return loss / max(1, len(targets))
