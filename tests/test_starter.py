from pathlib import Path

import polars as pl
import pytest
import yaml

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.recipe import RunConfig
from corarec.starter import quickstart_config, starter_recipe
from corarec.train.doctor import diagnose


def test_the_recipe_is_sized_to_the_dataset(small_world: Dataset) -> None:
    text = starter_recipe(small_world, Path("data/small"))
    config = RunConfig.parse(yaml.safe_load(text), "the starter")
    assert config.data == Path("data/small")
    assert config.train.steps == 60
    assert config.train.steps % config.train.validate_every == 0
    assert config.train.validation_rows <= small_world.card.counts["valid"].rows
    assert text.count("#") >= 8
    # What is read before the title is read once for many items; the paper's form is one word away.
    systems = config.system, quickstart_config(Path("d")).system
    assert [each.model_dump()["activation"] for each in systems] == ["title", "title"]


@pytest.mark.parametrize("name", ["a: b # c", "[red]x", "it's", 'say "x"', "новый 🎬", "a\nb"])
def test_any_folder_can_be_named(small_world: Dataset, name: str) -> None:
    card = small_world.card.model_copy(update={"name": name})
    odd = Dataset(card, small_world.interactions, small_world.items, small_world.users)
    text = starter_recipe(odd, Path(name))
    assert RunConfig.parse(yaml.safe_load(text), "the starter").data == Path(name)


def test_a_handful_of_rows_gets_a_recipe_that_the_doctor_passes(tmp_path: Path) -> None:
    rows = 60
    pl.DataFrame(
        {
            "user": [str(n % 6) for n in range(rows)],
            "item": [str(n % 7) for n in range(rows)],
            "title": [f"Film {n % 7}" for n in range(rows)],
            "rating": [1.0 + 4 * (n // 2 % 2) for n in range(rows)],
            "timestamp": list(range(rows)),
        }
    ).write_parquet(tmp_path / "t.parquet")
    data = tmp_path / "data"
    config = PrepareConfig(
        source="table", input=tmp_path / "t.parquet", output=data, split="temporal"
    )
    dataset = prepare(config)
    recipe = RunConfig.parse(yaml.safe_load(starter_recipe(dataset, data)), "the starter")
    assert diagnose(recipe)[0].trainable > 0
