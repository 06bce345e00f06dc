"""What each of several processes may use of a machine: threads and GPUs."""

import os
from collections.abc import Mapping, Sequence

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
"""What libraries take their number of threads from."""
DEVICES = "CUDA_VISIBLE_DEVICES"


def environment(place: int, count: int, devices: Sequence[str], cpus: int) -> dict[str, str]:
    """Return the environment of a worker: its share of the CPUs, and its GPU.

    A number of threads that the user set is kept where it is smaller than the share. That of
    OpenMP holds for the libraries without one of their own, too: torch takes MKL's before it.
    """
    values = dict(os.environ) | threads(max(1, cpus // count))
    if count > 1 and devices:
        values[DEVICES] = devices[place % len(devices)]
    return values


def threads(share: int) -> dict[str, str]:
    """Return the variables that give a process so many threads, or fewer where the user says so."""
    share = _threads(os.environ, THREADS[0], share)
    return {name: str(_threads(os.environ, name, share)) for name in THREADS}


def _threads(values: Mapping[str, str], name: str, share: int) -> int:
    given = values.get(name, "")
    return min(int(given), share) if given.isdecimal() and int(given) > 0 else share


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_devices() -> list[str]:
    """Return the GPUs that torch would use, by number or name; none without any."""
    given = os.environ.get(DEVICES)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        return [name for name in names if name and name != "-1"]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
