"""Trivial references are fitted once per dataset, and kept in a folder of the user.

What is kept is found by a digest of all that it follows from: the rows of train and valid, the
config, the libraries that fit. So it never belongs to another dataset, lies in no dataset folder
(which may be read-only, or replaced), and two writers at once write the same.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from corarec.benchmark.references import (
    LabelledPairs,
    ReferenceConfig,
    TrivialReferences,
    fit_references,
)
from corarec.data import Dataset
from corarec.errors import CorarecError
from corarec.files import atomic_file
from corarec.types import FloatArray

CACHE = "CORAREC_CACHE"
"""Names the folder of what is kept; `off` keeps nothing."""
MOST_KEPT = 64
"""Files beyond these, those longest unused, are removed; each has a number per user and item."""
_FORMAT = 1
_ARRAYS = ("rates", "coefficients")
_NUMBERS = ("overall_rate", "num_users", "intercept", "inverse_penalty")


def references_of(dataset: Dataset, config: ReferenceConfig | None = None) -> TrivialReferences:
    """Return the trivial references of a dataset, fitted only where they were not kept.

    A kept file that is damaged, or says that it follows from something else, is fitted anew; where
    nothing can be kept (no permission, a full disk) that is no error.

    Raises
    ------
    DataError
        Train or valid has one label only, or no rows.
    """
    config = config or ReferenceConfig()
    origin = _origin(dataset, config)
    folder = cache_folder()
    path = folder / "references" / f"{_digest(origin.encode())}.safetensors" if folder else None
    kept = _read(path, origin) if path else None
    if kept is not None:
        return kept
    train, valid = (
        LabelledPairs(dataset.pairs(split), dataset.labels(split)) for split in ("train", "valid")
    )
    references = fit_references(train, valid, config)
    if path:
        _keep(references, path, origin)
    return references


def cache_folder() -> Path | None:
    """Return where things are kept that can be made again; None where nothing is to be kept.

    `CORAREC_CACHE`, or `corarec` in `XDG_CACHE_HOME`, or in `~/.cache`.
    """
    own, common = os.environ.get(CACHE, ""), Path(os.environ.get("XDG_CACHE_HOME", ""))
    if own:
        return None if own == "off" else Path(own)
    # As the XDG specification has it, a relative path counts for nothing.
    if common.is_absolute():
        return common / "corarec"
    try:
        return Path.home() / ".cache" / "corarec"
    except RuntimeError:
        return None  # nobody's home


def _origin(dataset: Dataset, config: ReferenceConfig) -> str:
    """Return all that the references follow from, as text."""
    found = dataset.fingerprint
    return json.dumps(
        {
            "format": _FORMAT,
            "train": found.train,
            "valid": found.valid,
            "config": config.model_dump(mode="json"),
            "versions": {name: version(name) for name in ("numpy", "scikit-learn", "scipy")},
        },
        sort_keys=True,
    )


def _read(path: Path, origin: str) -> TrivialReferences | None:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in (*_ARRAYS, *_NUMBERS)}
    except (OSError, SafetensorError):
        return None
    if metadata != {"origin": origin, "values": _values(arrays)}:
        return None
    with suppress(OSError):
        os.utime(path)  # a sign of use
    return TrivialReferences(
        rates=arrays["rates"],
        overall_rate=float(arrays["overall_rate"]),
        num_users=int(arrays["num_users"]),
        coefficients=arrays["coefficients"],
        intercept=float(arrays["intercept"]),
        inverse_penalty=float(arrays["inverse_penalty"]),
    )


def _keep(references: TrivialReferences, path: Path, origin: str) -> None:
    arrays = {name: np.asarray(getattr(references, name)) for name in (*_ARRAYS, *_NUMBERS)}
    with suppress(OSError, CorarecError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            save_file(arrays, temporary, {"origin": origin, "values": _values(arrays)})
        _sweep(path.parent)


def _sweep(folder: Path) -> None:
    """Remove the files that were not used for longest; one that another process removes is gone."""
    used: dict[Path, float] = {}
    for path in folder.glob("*.safetensors"):
        with suppress(FileNotFoundError):
            used[path] = min(path.stat().st_mtime, time.time())
    for path in sorted(used, key=used.__getitem__)[:-MOST_KEPT]:
        path.unlink(missing_ok=True)


def _values(arrays: Mapping[str, FloatArray]) -> str:
    return _digest(b"".join(arrays[name].tobytes() for name in sorted(arrays)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
