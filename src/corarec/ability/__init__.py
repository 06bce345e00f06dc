"""What a language model still can do in general, before and after a system was trained on it."""
