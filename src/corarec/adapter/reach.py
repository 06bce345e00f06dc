"""Which adapted layers had a part in a forward pass."""

import warnings
from collections.abc import Sequence

from torch import nn

from corarec.adapter.binding import Increment
from corarec.backbone.compiling import is_compiled
from corarec.errors import ConfigError


def check_reached(model: nn.Module, names: Sequence[str], increment: Increment) -> None:
    """Look for adapted layers that had no part in a forward pass.

    Nothing is said of a model with compiled parts, whose calls leave no trace.

    Raises
    ------
    ConfigError
        The model reads the weight of a layer without calling it.
    """
    if any(is_compiled(module) for module in model.modules()):
        return
    missed = [name for name in names if name not in increment.called]
    if past := [name for name in missed if name in increment.read]:
        raise ConfigError(
            f"The model reads the weight of {past[0]} without calling the layer, so no increment "
            f"can act there ({len(past)} such layers). Leave it out of `layers`, or its role out "
            "of `target_modules`."
        )
    if missed:
        warnings.warn(
            f"The model did not call {missed[0]} in this forward pass ({len(missed)} of "
            f"{len(names)} adapted layers): where it never does, the increment has no effect and "
            "its P does not train. Leave such layers out of `layers`.",
            stacklevel=3,
        )
