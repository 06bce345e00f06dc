import pytest

from corarec.recipe import TrainConfig


def test_the_learning_rate_warms_up_once_and_then_follows_a_cosine() -> None:
    config = TrainConfig(
        steps=1200,
        warmup_steps=200,
        warmup_start=1e-5,
        learning_rate=1e-3,
        final_learning_rate=8e-5,
    )
    assert config.learning_rate_at(0) == pytest.approx(1e-5)
    assert config.learning_rate_at(100) == pytest.approx((1e-5 + 1e-3) / 2)
    assert config.learning_rate_at(200) == pytest.approx(1e-3)
    assert config.learning_rate_at(700) == pytest.approx((1e-3 + 8e-5) / 2)
    assert config.learning_rate_at(1200) == pytest.approx(8e-5)


def test_a_course_that_would_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="final_learning_rate"):
        TrainConfig(learning_rate=1e-5)


@pytest.mark.parametrize(("every", "wanted"), [(50, 10), (7, 7), (11, 1), (4, 4)])
def test_log_lines_fit_between_validations(every: int, wanted: int) -> None:
    assert TrainConfig(validate_every=every).log_every == wanted
