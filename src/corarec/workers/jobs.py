"""What a process can be told to do, as text that another process understands."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from corarec.types import Config

Tell = Callable[[dict[str, Any]], None]
"""Hears the messages of a job."""


class Job(Config, ABC):
    """One piece of work for a process of its own."""

    label: str
    """What it is called."""

    @abstractmethod
    def do(self, tell: Tell, asked: Iterable[Any] = ()) -> None:
        """Do it, as far as it was not done before.

        Parameters
        ----------
        tell
            Takes messages for whoever waits.
        asked
            What that one asks for meanwhile.
        """


def written(value: BaseModel) -> str:
    """Return a model and its class as one line, for `read_job` and `read`."""
    name = f"{type(value).__module__}:{type(value).__qualname__}"
    return json.dumps({"class": name, "values": value.model_dump(mode="json")})


def read(text: str | bytes) -> Any:
    """Return the model that `written` was given."""
    found = json.loads(text)
    module, _, name = found["class"].partition(":")
    return getattr(import_module(module), name).model_validate(found["values"])


def read_job(text: bytes) -> Job:
    """Return the job that `written` was given."""
    job: Job = read(text)
    return job
