"""CoRA and its rivals: collaborative filtering as generated weights for a frozen LLM."""

__version__ = "0.1.0"
