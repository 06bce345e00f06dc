"""Systems that put vectors of their own among the embeddings of the prompt's tokens."""

from abc import abstractmethod

import torch

from corarec.recommenders.llm import PromptRecommender


class SoftPromptRecommender(PromptRecommender):
    """A language model that reads soft tokens in the slots of its prompt."""

    @abstractmethod
    def soft_vectors(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what stands in each soft slot: [B, n, H] by slot."""

    def model_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the embeddings of the prompts, soft vectors in their slots."""
        embedded = self.model.get_input_embeddings()(batch["input_ids"])
        rows = torch.arange(len(embedded), device=embedded.device)[:, None]
        for slot, vectors in self.soft_vectors(batch).items():
            # A phase of training may use a prompt without the slot.
            if f"{slot}_positions" in batch:
                places = rows, batch[f"{slot}_positions"]
                embedded = embedded.index_put(places, vectors.to(embedded.dtype))
        return {"inputs_embeds": embedded}
