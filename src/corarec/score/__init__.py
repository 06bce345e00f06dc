"""How pairs are scored: pairs in, logits out; a person in, recommendations out."""
