import pytest

from corarec import errors
from corarec.errors import ArtifactError, ConfigError, CorarecError, DataError, TrainingError


@pytest.mark.parametrize("kind", [ArtifactError, ConfigError, DataError, TrainingError])
def test_every_error_can_be_caught_as_one_and_keeps_its_message(kind: type[CorarecError]) -> None:
    with pytest.raises(CorarecError, match=r"^ratings\.csv, row 3: no user\.$"):
        raise kind("ratings.csv, row 3: no user.")


def test_mistakes_in_what_is_given_are_value_errors_and_failed_training_is_not() -> None:
    assert issubclass(DataError, ValueError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ArtifactError, ValueError)
    assert issubclass(TrainingError, RuntimeError)
    assert not issubclass(TrainingError, ValueError)
    everything = vars(errors).values()
    kinds = [kind for kind in everything if getattr(kind, "__module__", "") == errors.__name__]
    kinds = [kind for kind in kinds if isinstance(kind, type)]
    assert DataError in kinds
    assert all(issubclass(kind, CorarecError) for kind in kinds)


def test_what_a_message_quotes_cannot_steer_a_terminal() -> None:
    assert str(DataError("row 1: \x1b[31m\x01\u202e\nMend it.")) == (
        "row 1: \\x1b[31m\\x01\\u202e\nMend it."
    )
