import pytest
import torch

from corarec.adapter.loading import check_weights_fit
from corarec.errors import ArtifactError

WANTED = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}


def test_equal_names_and_shapes_pass() -> None:
    saved = {name: torch.ones_like(value) for name, value in WANTED.items()}
    check_weights_fit(WANTED, saved, "x")
    with pytest.raises(ArtifactError):
        check_weights_fit(WANTED, {**saved, "a": torch.ones(3, 2)}, "x")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"a": torch.zeros(2, 3)}, r"1 of .* b: saved as nothing, wanted as \(4,\)"),
        (WANTED | {"c": torch.zeros(1)}, r"1 of .* c: saved as \(1,\), wanted as nothing"),
        (
            WANTED | {"a": torch.zeros(2, 5)},
            r"a: saved as \(2, 5\), wanted as \(2, 3\).*\(my-llm\)",
        ),
        (WANTED | {"b": torch.zeros(4, dtype=torch.int8)}, "b is stored as torch.int8"),
        (WANTED | {"b": torch.tensor([0, 0, 0, float("nan")])}, "b holds a value that is not a"),
        (WANTED | {"b": torch.full((4,), float("inf"))}, "b holds a value that is not a finite"),
    ],
)
def test_what_does_not_fit_is_named(saved: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        check_weights_fit(WANTED, saved, "my-llm")


def test_what_is_no_number_by_nature_need_not_be_one() -> None:
    wanted = {"known": torch.zeros(2, dtype=torch.bool)}
    check_weights_fit(wanted, {"known": torch.ones(2, dtype=torch.bool)}, "x")
    with pytest.raises(ArtifactError, match="a is stored as torch.bool"):
        check_weights_fit(WANTED, WANTED | {"a": torch.ones(2, 3, dtype=torch.bool)}, "x")
