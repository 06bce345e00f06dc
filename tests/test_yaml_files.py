from pathlib import Path

import pytest

from corarec.errors import ConfigError
from corarec.yaml_files import parse_yaml, read_yaml


def test_values_are_read_as_yaml_says() -> None:
    assert parse_yaml("{a: 1, b: [x, 2.5], c: null}", "text") == {
        "a": 1,
        "b": ["x", 2.5],
        "c": None,
    }
    merged = parse_yaml("base: &b {x: 1}\nmine: {<<: *b, y: 2}", "text")
    assert merged["mine"] == {"x": 1, "y": 2}


def test_a_day_is_a_text() -> None:
    assert parse_yaml("{data: 2020-01-02, at: 2020-01-02 10:00:00}", "text") == {
        "data": "2020-01-02",
        "at": "2020-01-02 10:00:00",
    }


def test_aliases_that_multiply_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="text line . .*aliases make more than 100,000 values"):
        parse_yaml("\n".join(rows), "text")
    with pytest.raises(ConfigError, match="aliases make more than"):
        parse_yaml("a: &a {b: [*a]}", "text")
    assert parse_yaml("a: &a [x]\nb: [*a, *a]", "text")["b"] == [["x"], ["x"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "text line 4 .*the key 'c' is given twice"),
        ("a: [", "text line 1 is not YAML as wanted"),
        ("day: !!timestamp 2020-13-45", "text is not YAML as wanted: month must be in"),
        ("n: " + "1" * 5000, "text is not YAML as wanted"),
        ("[" * 5000, "text is not YAML as wanted"),
        ("x: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("? [a]\n: 1", "unhashable"),
        ("a: *nowhere", "undefined alias"),
    ],
)
def test_what_is_no_yaml_names_the_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "text")


def test_files_that_hold_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(ConfigError, match="There is no recipe at"):
        read_yaml(path, "recipe")
    path.write_text("")
    assert read_yaml(path, "recipe") == {}
    with pytest.raises(ConfigError, match=r"is a folder; name a recipe .*such as .*recipe\.yaml"):
        read_yaml(tmp_path, "recipe")
    path.write_bytes(b"\x80\x04\x95")
    with pytest.raises(ConfigError, match="is no text in UTF-8"):
        read_yaml(path, "recipe")
    path.write_text("- 1")
    with pytest.raises(ConfigError, match="holds list where keys"):
        read_yaml(path, "recipe")
    path.write_text("just words")
    with pytest.raises(ConfigError, match="holds str where keys"):
        read_yaml(path, "recipe")
    path.write_text("1: 2")
    with pytest.raises(ConfigError, match="the key 1, which is no text"):
        read_yaml(path, "recipe")
    path.write_bytes(b"a: \x00")
    with pytest.raises(ConfigError, match="not YAML as wanted"):
        read_yaml(path, "recipe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(Path("x\0y"), "recipe")


def test_numbers_are_decimal() -> None:
    values = parse_yaml("[010, 1:30, 1_000, -3, +4, 2e-3, 1.0e5, .5, 7., 0x10]", "text")
    assert values == ["010", "1:30", 1000, -3, 4, 0.002, 1e5, 0.5, 7.0, "0x10"]
