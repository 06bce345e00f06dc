"""Leaving things out of a pair, one at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import expit

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.prompts import PromptConfig
from corarec.recommenders import build_recommender
from corarec.recommenders.binllm import BinLLMSystem
from corarec.recommenders.collm import CoLLMSystem
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.personprompt import PersonPromptSystem
from corarec.recommenders.prompt4nr import Prompt4NRSystem
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.score.context import Context
from corarec.score.explain import Explanation, explain
from corarec.score.scorer import Scorer
from corarec.types import Histories, Pairs

TOLERANCE = 1e-5
ITEM = 5
CF_PARTS = {"user", "item", "user-and-item"}


def vectors(world: Dataset, model: str = "mf-b") -> VectorSource:
    options: dict[str, Any] = {"embedding_size": 8, "max_epochs": 3}
    if model == "binary-mf":
        options["init_std"] = 1.0  # so that an item has another code than the unknown ones
    fitted, _ = fit_cf(world, FitConfig(model=model, options=options))
    return VectorSource(fitted, world)


def built(
    config: type[Any], world: Dataset, backbone: Path, cf_model: str = "mf-b", **options: Any
) -> PromptRecommender:
    """Return a system whose every trainable weight says something."""
    system = config(backbone={"model": str(backbone)}, **options)
    recommender = build_recommender(system, world, vectors(world, cf_model), seed=1).eval()
    rng = torch.Generator().manual_seed(3)
    for parameter in recommender.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=rng)
    assert isinstance(recommender, PromptRecommender)
    return recommender


def somebody(world: Dataset) -> Context:
    user = int(np.argmax(world.timeline.liked_counts()))
    return Context(user, world.timeline.liked(user))


def explained(
    recommender: PromptRecommender,
    world: Dataset,
    context: Context,
    item: int = ITEM,
    new_titles: tuple[str, ...] = (),
) -> Explanation:
    pair = context.pairs(np.array([item]))
    return explain(
        Scorer(recommender),
        world.knowledge.catalogue,
        context,
        item,
        num_shown=int(recommender.encoder.shown(pair, new_titles)[0]),
        new_titles=new_titles,
        frozen=recommender.frozen(),
    )


def parts(explanation: Explanation) -> set[str]:
    return set(explanation.effects["without"])


def logit(explanation: Explanation, part: str, place: int | None = None) -> float:
    rows = explanation.effects.filter(pl.col("without") == part)
    if place is not None:
        rows = rows.filter(pl.col("place") == place)
    return float(rows["logit"].item())


@pytest.fixture(scope="module")
def cora(small_world: Dataset, tiny_backbone: Path) -> PromptRecommender:
    return built(CoraSystem, small_world, tiny_backbone, rank=2)


def test_every_variant_is_what_the_scorer_says_of_it_alone(
    cora: PromptRecommender, small_world: Dataset, tiny_backbone: Path
) -> None:
    context = somebody(small_world)
    found = explained(cora, small_world, context)
    shown = context.liked[-cora.encoder.config.history_length :]
    assert found.num_shown == len(shown) < found.num_liked == len(context.liked)
    assert parts(found) == {*CF_PARTS, "liked-title", "adapter"}
    assert len(found.effects) == 4 + len(shown)
    assert found.not_applicable == {}
    item = np.array([ITEM])

    def alone(pairs: Pairs, system: LanguageRecommender = cora) -> float:
        return float(Scorer(system).score(pairs)[0])

    whole = context.pairs(item)
    assert found.logit == pytest.approx(alone(whole), abs=TOLERANCE)
    stranger = replace(whole, user_ids=np.zeros(1, np.int64))  # mf-b knows users by their number
    assert logit(found, "user") == pytest.approx(alone(stranger), abs=TOLERANCE)
    title = small_world.titles[ITEM]
    new = np.array([small_world.num_items + 1])
    of_new = Scorer(cora).score(context.pairs(new), new_titles=[title])
    assert logit(found, "item") == pytest.approx(of_new[0], abs=TOLERANCE)
    nobody = replace(stranger, item_ids=new)
    of_both = Scorer(cora).score(nobody, new_titles=[title])
    assert logit(found, "user-and-item") == pytest.approx(of_both[0], abs=TOLERANCE)
    for place in range(len(shown)):
        fewer = Context(context.user_id, np.delete(shown, place)).pairs(item)
        assert logit(found, "liked-title", place + 1) == pytest.approx(alone(fewer), abs=TOLERANCE)
    plain = build_recommender(
        ICLSystem(backbone={"model": str(tiny_backbone)}, answer="yes"), small_world
    ).eval()
    assert logit(found, "adapter") == pytest.approx(alone(whole, plain), abs=TOLERANCE)


def test_effects_are_differences_and_the_largest_stands_first(
    cora: PromptRecommender, small_world: Dataset
) -> None:
    found = explained(cora, small_world, somebody(small_world))
    table = found.effects
    np.testing.assert_allclose(table["effect_logit"], found.logit - table["logit"].to_numpy())
    np.testing.assert_allclose(
        table["effect_probability"], found.probability - expit(table["logit"].to_numpy())
    )
    sizes = table["effect_logit"].abs().to_list()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1e-3
    named = table.filter(pl.col("without") == "liked-title").sort("place")
    shown = somebody(small_world).liked[-found.num_shown :]
    assert named["title"].to_list() == [small_world.titles[item] for item in shown]


def test_all_variants_are_scored_once(
    cora: PromptRecommender, small_world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    logits = cora.logits

    def counted(**batch: torch.Tensor) -> torch.Tensor:
        batches.append(len(batch["input_ids"]))
        return logits(**batch)

    monkeypatch.setattr(cora, "logits", counted)
    found = explained(cora, small_world, somebody(small_world))
    assert sum(batches) == 4 + found.num_shown


def test_a_title_is_left_out_of_the_text_and_of_nothing_else(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    """To a model of sequences the history is the user; leaving a title out leaves it alone."""
    sasrec = built(CoraSystem, small_world, tiny_backbone, "sasrec", rank=2)
    context = somebody(small_world)
    found = explained(sasrec, small_world, context)
    whole = context.pairs(np.array([ITEM]))
    shown = context.liked[-found.num_shown :]
    for place in (0, len(shown) - 1):
        text = Histories.from_lists([np.delete(shown, place).tolist()])
        pairs = replace(whole, histories=text, seen_by_cf=whole)
        wanted = Scorer(sasrec).score(pairs)[0]
        assert logit(found, "liked-title", place + 1) == pytest.approx(wanted, abs=TOLERANCE)
    stranger = Context(0, context.liked[:0]).pairs(np.array([ITEM]))
    without = Scorer(sasrec).score(replace(whole, seen_by_cf=stranger))[0]
    assert logit(found, "user") == pytest.approx(without, abs=TOLERANCE)
    assert abs(without - found.logit) > 1e-4


@pytest.mark.parametrize(
    ("config", "cf_model", "options", "with_cf"),
    [
        (CoLLMSystem, "mf-b", {}, True),
        (CoLLMSystem, "mf", {"train_cf": True}, True),
        (BinLLMSystem, "binary-mf", {}, True),
        (PersonPromptSystem, "mf-b", {}, True),
        (TALLRecSystem, "mf-b", {}, False),
        (Prompt4NRSystem, "mf-b", {}, False),
        (ICLSystem, "mf-b", {}, False),
    ],
)
def test_other_systems_have_the_rows_that_apply_to_them(
    config: type[Any],
    cf_model: str,
    options: dict[str, Any],
    with_cf: bool,
    small_world: Dataset,
    tiny_backbone: Path,
) -> None:
    recommender = built(config, small_world, tiny_backbone, cf_model, **options)
    found = explained(recommender, small_world, somebody(small_world))
    assert ("user" in parts(found)) == with_cf
    assert parts(found) - CF_PARTS == {"liked-title"}
    assert set(found.not_applicable) == {"adapter"} | (set() if with_cf else CF_PARTS)
    assert found.effects["effect_logit"].to_numpy().any()
    if with_cf:
        assert logit(found, "user") != found.logit


def test_a_new_user_and_a_new_item_have_no_rows_of_what_cf_knows(
    cora: PromptRecommender, small_world: Dataset
) -> None:
    found = explained(cora, small_world, Context(0, np.array([1, 2])))
    assert parts(found) == {"item", "user-and-item", "liked-title", "adapter"}
    assert "this user is new" in found.not_applicable["user"]
    new = small_world.num_items + 1
    found = explained(cora, small_world, Context(0, np.array([1])), new, ("The New (2001)",))
    assert parts(found) == {"liked-title", "adapter"}
    assert (found.item, found.title) == (None, "The New (2001)")
    found = explained(cora, small_world, Context(0, np.zeros(0, np.int64)))
    assert "liked-title" in found.not_applicable


def test_titles_that_are_cut_off_are_not_left_out_and_do_not_come_back(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    context = somebody(small_world)
    whole = context.pairs(np.array([ITEM]))
    free = built(CoraSystem, small_world, tiny_backbone, rank=2)
    most = int(free.encoder.token_counts(whole)[0])
    tight = built(
        CoraSystem, small_world, tiny_backbone, rank=2, prompt=PromptConfig(max_length=most - 20)
    )
    found = explained(tight, small_world, context)
    assert 0 < found.num_shown < free.encoder.config.history_length
    assert found.logit == pytest.approx(Scorer(tight).score(whole)[0], abs=TOLERANCE)
    shown = context.liked[-found.num_shown :]
    fewer = Context(context.user_id, shown[1:]).pairs(np.array([ITEM]))
    wanted = Scorer(tight).score(fewer)[0]
    assert logit(found, "liked-title", 1) == pytest.approx(wanted, abs=TOLERANCE)
    silent = built(
        CoraSystem,
        small_world,
        tiny_backbone,
        rank=2,
        prompt=PromptConfig(template="Would the user like {title}?"),
    )
    assert explained(silent, small_world, context).num_shown == 0


def test_threads_explain_and_score_side_by_side(
    cora: PromptRecommender, small_world: Dataset
) -> None:
    contexts = [Context(user, small_world.timeline.liked(user)) for user in range(1, 9)]

    def use(context: Context) -> list[Any]:
        found = explained(cora, small_world, context)
        scores = Scorer(cora).score(context.pairs(np.arange(1, 4)))
        return [found.to_dict(), scores.tolist()]

    serial = [use(context) for context in contexts]
    with ThreadPoolExecutor(len(contexts)) as pool:
        assert list(pool.map(use, contexts)) == serial


def test_the_keys_of_its_json_are_stable(cora: PromptRecommender, small_world: Dataset) -> None:
    found = explained(cora, small_world, Context(0, np.array([1]))).to_dict()
    assert list(found) == [
        "item",
        "title",
        "probability",
        "logit",
        "num_liked",
        "num_shown",
        "effects",
        "not_applicable",
    ]
    assert list(found["effects"][0]) == [
        "without",
        "title",
        "place",
        "probability",
        "logit",
        "effect_probability",
        "effect_logit",
    ]
    assert [list(entry) for entry in found["not_applicable"]] == [["without", "reason"]]


def test_what_was_not_liked_stays_in_every_variant(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    prompt = {"template": "{history} not {disliked}: {title}?", "history_length": 2}
    system = built(TALLRecSystem, small_world, tiny_backbone, prompt=prompt)
    timeline = small_world.timeline
    user = int(np.argmax(timeline.liked_counts()))
    disliked = timeline.so_far(np.array([user]), liked=False)[0]
    assert len(disliked)
    context = Context(user, timeline.liked(user), disliked)
    explanation = explain(Scorer(system), small_world.catalogue, context, ITEM, num_shown=2)
    (whole,) = Scorer(system).score(context.pairs(np.array([ITEM])))
    assert explanation.logit == pytest.approx(whole, abs=TOLERANCE)
    without = replace(context, disliked=disliked[:0])
    (other,) = Scorer(system).score(without.pairs(np.array([ITEM])))
    assert abs(whole - other) > 10 * TOLERANCE
