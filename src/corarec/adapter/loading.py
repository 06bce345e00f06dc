"""Checks that a saved adapter is whole and was made for this backbone."""

from collections.abc import Mapping

import torch

from corarec.errors import ArtifactError


def check_weights_fit(
    wanted: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], backbone: str
) -> None:
    """Compare names and shapes of the saved weights with those of the adapter they go into.

    PEFT itself skips what does not fit, but an adapter in part is no adapter.

    Raises
    ------
    ArtifactError
        A weight is missing, has no place, has another shape, or is no floating-point tensor of
        finite numbers where one is wanted.
    """
    shapes = {name: tuple(weight.shape) for name, weight in wanted.items()}
    came = {name: tuple(weight.shape) for name, weight in saved.items()}
    wrong = [name for name in shapes | came if shapes.get(name) != came.get(name)]
    if wrong:
        name = wrong[0]
        raise ArtifactError(
            f"The saved adapter is damaged or was made for another backbone: {len(wrong)} of its "
            f"weights do not fit. The first is {name}: saved as {came.get(name, 'nothing')}, "
            f"wanted as {shapes.get(name, 'nothing')}. Load it on the backbone that it was trained "
            f"on ({backbone})."
        )
    for name, weight in saved.items():
        if not weight.is_floating_point() and wanted[name].is_floating_point():
            raise ArtifactError(
                f"The saved adapter is damaged: {name} is stored as {weight.dtype}, but weights "
                "are floating-point numbers. Save it again from the model that was trained."
            )
        if not torch.isfinite(weight).all():
            raise ArtifactError(
                f"The saved adapter is damaged: {name} holds a value that is not a finite number. "
                "Train it again, with a lower learning rate if training itself ended so."
            )
