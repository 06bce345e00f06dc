import pytest

from corarec.cli.options import named_values
from corarec.errors import ConfigError


def test_values_are_yaml_and_what_is_none_is_text() -> None:
    options = ["a=1", "b=[x, 2]", "pair=::x", "star=*x", "day=2020-01-02", "at=x=y", "none="]
    assert named_values(options) == {
        "a": 1,
        "b": ["x", 2],
        "pair": "::x",
        "star": "*x",
        "day": "2020-01-02",
        "at": "x=y",
        "none": None,
    }
    assert named_values(None) == {}


@pytest.mark.parametrize("sign", list("|>#-?~*&!%@`:,\t=="))
def test_a_lone_sign_is_a_separator(sign: str) -> None:
    assert named_values([f"separator={sign}"]) == {"separator": sign}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a"], "The option 'a' has no value; write it as a=VALUE"),
        (["a=1", "a=2"], "The option 'a' is given twice"),
        (["a={x: 1, x: 2}"], "option 'a={x: 1, x: 2}' line 1 .*'x' is given twice"),
        (["a=[1, 2"], "is not YAML as wanted"),
        (["a=&a [*a]"], "aliases make more than"),
    ],
)
def test_what_cannot_be_read_is_an_error(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        named_values(options)
