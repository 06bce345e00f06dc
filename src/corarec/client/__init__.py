"""A served run from Python, with the methods of a run."""

from corarec.client.client import Client

__all__ = ["Client"]
