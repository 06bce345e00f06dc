"""CLLM4Rec's losses against what is written out by hand, and its runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from corarec.backbone import load_backbone
from corarec.benchmark.ranking import PERFECT, rank_run
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.errors import ConfigError, DataError
from corarec.evaluate import BootstrapConfig, RankingConfig
from corarec.recipe import RunConfig
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.cllm4rec import CLLM4RecRecommender, CLLM4RecSystem
from corarec.recommenders.cllm4rec_documents import with_items
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.phase import Phase
from corarec.runs import load_run
from corarec.runs.pack import pack_run
from corarec.score.scorer import Scorer
from corarec.testing.language import tiny_tokenizer
from corarec.train import train_run
from corarec.train.metrics import read_metrics
from corarec.train.trainer import RecommenderTrainer
from corarec.types import Histories, Pairs

PHASES: list[dict[str, Any]] = [
    {"name": "content", "task": "content", "parameters": ["content"]},
    {"name": "mutual", "task": "mutual"},
    {"name": "recommend", "task": "recommend"},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a small world with reviews."""
    size = {"num_users": 40, "num_items": 30, "interactions_per_user": 12, "reviews": True}
    folder = tmp_path_factory.mktemp("reviews") / "world"
    prepare(
        PrepareConfig(source="synthetic", output=folder, split="published", source_options=size)
    ).save(folder)
    return Dataset.load(folder)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random GPT-2, which has dropout of its own and learned positions."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = tiny_tokenizer()
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=256)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build(world: Dataset, backbone: Path, **options: Any) -> CLLM4RecRecommender:
    config = CLLM4RecSystem.parse({"backbone": {"model": str(backbone)}, **options}, "the test")
    system = build_recommender(config, world, seed=1)
    assert isinstance(system, CLLM4RecRecommender)
    return system


def training(world: Dataset) -> TrainingData:
    return TrainingData(world, world.rows("train"), world.rows("valid"))


def begun(system: CLLM4RecRecommender, world: Dataset, task: str) -> Any:
    """Return the documents of a task that has begun."""
    system.begin(Phase("the test", task=task))
    return system.examples(training(world))


def hidden(system: CLLM4RecRecommender, ids: list[int], side: Any) -> torch.Tensor:
    """Return the last hidden states of one row without padding: [T, H]."""
    embedded = torch.stack(
        [
            side.weight[token - system.vocabulary.words]
            if token >= system.vocabulary.words
            else system.model.get_input_embeddings().weight[token]
            for token in ids
        ]
    )
    output = system.model(inputs_embeds=embedded[None], output_hidden_states=True)
    states: torch.Tensor = output.hidden_states[-1][0]
    return states


def test_each_item_is_told_from_those_before_it_and_the_first_one_is_not(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone, mutual_weight=0)
    mixed = begun(system, world, "mutual")
    documents = mixed.parts["collaborative"]
    rows = np.array([3, 0])
    loss = system(**mixed.batch(rows))
    users, items = documents.user_ids, documents.items
    lost, predicted = 0.0, 0
    side, words = system.collaborative, system.vocabulary.words
    for row in rows.tolist():
        prompt = system.texts.interactions.fill({"user": [words + int(users[row])]})
        tokens = system.vocabulary.item(items[row]).tolist()
        states = hidden(system, prompt + tokens, side)
        for n in range(1, len(tokens)):  # from the second item on
            logits = states[len(prompt) + n - 1] @ side.items.T  # the head is the embeddings
            known = logits.masked_fill(~side.known_items, -torch.inf)
            lost -= float(known.log_softmax(0)[items[row][n]])
            predicted += 1
    assert float(loss) == pytest.approx(lost / predicted, rel=1e-5)


def test_a_user_of_one_item_has_nothing_to_predict(world: Dataset, tiny_backbone: Path) -> None:
    system = build(world, tiny_backbone)
    mixed = begun(system, world, "mutual")
    documents = mixed.parts["collaborative"]
    documents.items = Histories.from_lists([[4]])
    documents.user_ids = np.array([1])
    batch = {f"collaborative.{k}": v for k, v in documents.batch(np.array([0])).items()}
    assert float(build(world, tiny_backbone, mutual_weight=0)(**batch)) == 0
    batch = {k.replace("collaborative", "content"): v for k, v in batch.items()}
    batch["content.main"] = torch.zeros_like(batch["content.main"])
    assert float(build(world, tiny_backbone, mutual_weight=0)(**batch)) == 0


def test_each_word_of_a_review_is_told_from_those_before_it(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone)
    mixed = begun(system, world, "content")
    batch = mixed.batch(np.array([0, 5, 9]))
    lost, predicted = 0.0, 0
    for row in range(3):
        mask = batch["content.mask"][row] == 1
        ids = batch["content.ids"][row][mask].tolist()
        first = int(batch["content.main"][row][mask].nonzero()[0])
        states = hidden(system, ids, system.content)
        logits = system.model.get_output_embeddings()(states)
        for n in range(first + 1, len(ids)):
            lost -= float(logits[n - 1].log_softmax(0)[ids[n]])
            predicted += 1
    assert float(system(**batch)) == pytest.approx(lost / predicted, rel=1e-5)


def test_a_recommendation_is_lost_over_all_items_of_the_user(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone, mutual_weight=0)
    mixed = begun(system, world, "recommend")
    batch = mixed.batch(np.array([0, 1]))
    loss = system(**batch)
    of = {name.partition(".")[2]: values for name, values in batch.items()}
    first_item = system.vocabulary.words + system.vocabulary.first_item
    asked = (of["ids"], of["items"], of["shown"], of["first"])
    ids = with_items(*asked, first_item, draw=system.training)
    wanted = []
    for row in range(2):
        states = hidden(system, ids[row][of["mask"][row] == 1].tolist(), system.collaborative)
        logits = states[-1] @ system.collaborative.items.T
        likelihood = logits.masked_fill(~system.collaborative.known_items, -torch.inf)
        targets = of["items"][row][of["items"][row] > 0]
        assert len(targets) > int(of["shown"][row])  # masked ones are included with the rest
        wanted.append(-float(likelihood.log_softmax(0)[targets].sum()))
    assert float(loss) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_the_shown_items_are_drawn_and_shuffled_anew_in_training(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone)
    mixed = begun(system, world, "recommend")
    batch = mixed.parts["recommendation"].batch(np.arange(4))
    arguments = (batch["ids"], batch["items"], batch["shown"], batch["first"])
    first_item = system.vocabulary.words + system.vocabulary.first_item

    def drawn() -> list[list[int]]:
        ids = with_items(*arguments, first_item, draw=system.training)
        return [(row[row >= first_item] - first_item).tolist() for row in ids]

    system.train()
    torch.manual_seed(0)
    one, other = drawn(), drawn()
    torch.manual_seed(0)
    assert drawn() == one != other
    for row, (first, second) in enumerate(zip(one, other, strict=True)):
        items = batch["items"][row][batch["items"][row] > 0].tolist()
        count = len(items) - max(1, int(0.2 * len(items)))
        assert len(first) == len(set(first)) == len(second) == count
        assert set(first) | set(second) <= set(items)
    assert any(first != sorted(first) for first in one)
    assert any(set(first) != set(second) for first, second in zip(one, other, strict=True))
    system.eval()
    state = torch.get_rng_state()
    assert drawn() == drawn()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_regulariser_pulls_each_side_to_the_other_by_the_occurrence(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone, mutual_weight=0.7)
    begun(system, world, "mutual")
    both = system.collaborative.known & system.content.known
    item = int((both[system.vocabulary.first_item :]).nonzero()[0])
    number = item + system.vocabulary.first_item
    token = number + system.vocabulary.words
    unknown = system.vocabulary.words  # user 0
    ids = torch.tensor([[5, token, token, unknown]])
    loss = system._distance(ids, system.collaborative, system.content)
    apart = system.collaborative.weight[number] - system.content.weight[number]
    assert float(loss) == pytest.approx(0.7 * 2 * float(apart.square().sum()), rel=1e-5)
    loss.backward()
    assert system.content.weight.grad is None
    gradient = system.collaborative.weight.grad
    assert gradient is not None
    assert gradient.any(dim=1).nonzero().flatten().tolist() == [number]
    torch.testing.assert_close(gradient[number], 0.7 * 2 * 2 * apart.detach())


def test_the_regulariser_reaches_the_items_that_are_masked(
    world: Dataset, tiny_backbone: Path
) -> None:
    system = build(world, tiny_backbone)
    mixed = begun(system, world, "recommend")
    batch = mixed.batch(np.array([0]))
    plain = build(world, tiny_backbone, mutual_weight=0)
    plain.collaborative.known |= system.collaborative.known
    items = batch["recommendation.items"][0]
    numbers = torch.cat(
        [torch.tensor([mixed.parts["recommendation"].user_ids[0]] * 2),
         items[items > 0] + system.vocabulary.first_item]
    )  # fmt: skip
    numbers = numbers[(system.collaborative.known & system.content.known)[numbers]]
    assert len(numbers) > int(batch["recommendation.shown"][0])
    apart = system.collaborative.weight[numbers] - system.content.weight[numbers]
    added = float(system(**batch)) - float(plain(**batch))
    assert added == pytest.approx(float(apart.square().sum()), rel=1e-4)


def test_a_gradient_is_where_it_belongs(world: Dataset, tiny_backbone: Path) -> None:
    system = build(world, tiny_backbone)
    kinds = {"collaborative": "mutual", "content": "mutual", "recommendation": "recommend"}
    for kind, task in kinds.items():
        mixed = begun(system, world, task)
        number = list(mixed.parts).index(kind)
        system(**mixed.batch(np.flatnonzero(mixed.kinds == number)[:4])).backward()
        own = system.content if kind == "content" else system.collaborative
        other = system.collaborative if kind == "content" else system.content
        assert own.weight.grad is not None
        assert other.weight.grad is None
        assert all(p.grad is None for p in system.model.parameters())
        # What no training row knows is neither predicted nor moved.
        assert not own.weight.grad[~own.known].any()
        system.zero_grad()


def test_dropout_of_the_language_model_acts_in_training_alone(world: Dataset, gpt2: Path) -> None:
    for dropout in (True, False):
        system = build(world, gpt2, dropout=dropout)
        batch = begun(system, world, "content").batch(np.arange(4))
        with torch.no_grad():
            still = [float(system.eval()(**batch)) for _ in range(2)]
            moving = [float(system.train()(**batch)) for _ in range(2)]
        assert still[0] == still[1]
        assert (moving[0] != moving[1]) == dropout


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, ["content"]),
        ({"content": "descriptions"}, ["content"]),
        ({"content": "both"}, ["content"]),
    ],
)
def test_contents_are_those_of_training_rows_and_of_items(
    world: Dataset, tiny_backbone: Path, options: dict[str, Any], kinds: list[str]
) -> None:
    mixed = begun(build(world, tiny_backbone, **options), world, "content")
    assert list(mixed.parts) == kinds
    documents = mixed.parts["content"]
    assert world.texts is not None
    rows = world.rows("train")
    liked = set(rows[world.labels("train") == 1].tolist())
    reviews = [text for row, text in world.texts.select("row", "text").rows() if row in liked]
    found = list(documents.contents)
    wanted = options.get("content", "reviews")
    if wanted != "descriptions":
        assert found[: len(reviews)] == reviews
    if wanted != "reviews":
        assert len(found) == world.num_items + (len(reviews) if wanted == "both" else 0)
        title, genre = world.items.select("title", "genre").row(0)
        assert f"{title}. Genre: {genre}." in found
    everybody = begun(build(world, tiny_backbone, reviews_of="all"), world, "content")
    assert len(everybody) == len(rows)


def test_a_task_without_anything_to_learn_from(world: Dataset, tiny_backbone: Path) -> None:
    system = build(world, tiny_backbone, content="none")
    assert list(begun(system, world, "recommend").parts) == ["recommendation"]
    with pytest.raises(ConfigError, match=r"'content' finds nothing .* system.content is 'none'"):
        begun(system, world, "content")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 5000}, r"max_length is 5000, but the language model reads 1024"),
        ({"masked": 1.5}, "masked"),
        ({"mutual_weight": -1}, "mutual_weight"),
        ({"wording": {"review": "{user}:"}}, r"wording.review: .*\{item\}"),
    ],
)
def test_options_out_of_bounds(
    world: Dataset, tiny_backbone: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(world, tiny_backbone, **options)


def test_a_chat_is_refused(world: Dataset, tiny_backbone: Path) -> None:
    config = CLLM4RecSystem(backbone={"model": str(tiny_backbone)})
    chat = config.backbone.model_copy(update={"prompt_style": "chat"})
    ingredients = Ingredients(
        load_backbone(config.backbone), world.catalogue, None, world.num_users, seed=0
    )
    with pytest.raises(ConfigError, match="prompt_style to plain, not chat"):
        CLLM4RecRecommender.build(config.model_copy(update={"backbone": chat}), ingredients)


def recipe(world: Path, backbone: Path, **train: Any) -> RunConfig:
    course = {
        "steps": 4,
        "batch_size": 8,
        "learning_rate": 0.01,
        "warmup_steps": 1,
        "validate_every": 2,
        "weight_decay": 0.0,
        "threads": 1,
        "phases": PHASES,
    }
    system = {"name": "cllm4rec", "backbone": {"model": str(backbone)}}
    return RunConfig.parse(
        {"data": str(world), "system": system, "train": course | train}, "the test"
    )


@pytest.fixture(scope="module")
def run_folder(
    world: Dataset, gpt2: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunConfig]:
    """Return a run of three phases on a model with dropout, and its recipe."""
    folder = tmp_path_factory.mktemp("run")
    world.save(folder / "data")
    config = recipe(folder / "data", gpt2)
    train_run(config, folder / "run")
    return folder / "run", config


def content_of(run: Path) -> dict[str, Any]:
    """Return the weights of a run and its records without seconds."""
    files = {p.relative_to(run): p.read_bytes() for p in sorted(run.rglob("*.safetensors"))}
    records = [{k: v for k, v in r.items() if k != "seconds"} for r in read_metrics(run)]
    return {"files": files, "records": records}


class Killed(BaseException):
    """Nothing catches it."""


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        pytest.param("1-", 3, marks=pytest.mark.slow),
        ("2-", 3),
        pytest.param("3-", 1, marks=pytest.mark.slow),
        ("3-", 3),
    ],
)
def test_killed_in_any_phase_it_ends_with_the_same_bits(
    run_folder: tuple[Path, RunConfig], tmp_path: Path, phase: str, step: int
) -> None:
    run, config = run_folder
    step_of = RecommenderTrainer.training_step

    def killed(self: RecommenderTrainer, *args: Any, **kwargs: Any) -> Any:
        if f"phases/{phase}" in str(self.folder) and self.state.global_step >= step:
            raise Killed
        return step_of(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RecommenderTrainer, "training_step", killed)
        train_run(config, tmp_path / "run")
    train_run(config, tmp_path / "run")
    assert content_of(tmp_path / "run") == content_of(run)


def test_documents_are_chosen_by_their_loss_and_recommendations_by_ranks(
    run_folder: tuple[Path, RunConfig],
) -> None:
    records = [r for r in read_metrics(run_folder[0]) if any(k.startswith("valid_") for k in r)]
    names = {
        phase: {k for r in records if r["phase"] == phase for k in r if k.startswith("valid_")}
        for phase in ("content", "mutual", "recommend")
    }
    assert names["content"] == names["mutual"] == {"valid_loss"}
    parts = {"valid_capped_recall@20", "valid_capped_recall@40", "valid_ndcg@100"}
    assert names["recommend"] == {"valid_ranking", *parts}
    for record in records[-2:]:
        assert record["valid_ranking"] == pytest.approx(sum(record[name] for name in parts))


def test_a_run_scores_ranks_recommends_and_explains(
    run_folder: tuple[Path, RunConfig], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder[0], folder)
    run = load_run(folder)
    # Pairs one by one, and the whole catalogue at once, agree.
    context = run.directory.known(3)
    items = np.arange(1, run.dataset.num_items + 1)
    one_by_one = run.scorer.score(context.pairs(items))
    at_once = run.scorer.score_items(context, items)
    np.testing.assert_allclose(one_by_one, at_once, atol=1e-5)
    passes: list[int] = []
    body = run.recommender.model.transformer
    body.register_forward_hook(lambda *_: passes.append(1))
    scored: list[int] = []
    table = rank_run(
        run,
        "valid",
        candidates=3,
        config=RankingConfig(cutoffs=(5,)),
        bootstrap=BootstrapConfig(draws=20),
        progress=scored.append,
    )
    users = table.systems[0].users + table.systems[0].users_left_out
    assert len(passes) == users  # one pass for each
    assert table.candidates == run.dataset.num_items
    (perfect,) = (each for each in table.references if each.name == PERFECT)
    assert perfect.metrics["hr@5"].value == 1
    user = run.knowledge.users.raw_ids[2]
    best = run.recommend(user, k=4, candidates=4)
    unseen = np.setdiff1d(items, run.knowledge.timeline.seen(3))
    order = unseen[np.argsort(-at_once[unseen - 1], kind="stable")][:4]
    assert best["item"].to_list() == run.knowledge.catalogue.vocabulary.raw(order)
    new = run.recommend(liked=run.knowledge.catalogue.titles[1:3], k=2)
    assert len(new) == 2
    with pytest.raises(DataError, match="CLLM4Rec reads no titles"):
        run.score_title(user, "The New Film")
    with pytest.raises(DataError, match="CLLM4Rec reads no titles"):
        run.explain(user, title="The New Film")
    with pytest.raises(ConfigError, match="gives no weights to users and items"):
        run.export_lora(tmp_path / "lora", user)
    found = run.explain(user, best["item"][0])
    assert found.logit == pytest.approx(best["score"][0], abs=1e-5)
    without = found.effects["without"].to_list()
    assert {"user", "item", "liked-title"} <= set(without)
    assert without.count("liked-title") == found.num_shown == found.num_liked


def test_a_packed_run_answers_as_before(run_folder: tuple[Path, RunConfig], tmp_path: Path) -> None:
    run = load_run(run_folder[0])
    pack_run(run_folder[0], tmp_path / "packed.zip", include_backbone=True)
    packed = load_run(tmp_path / "packed.zip")
    user = run.knowledge.users.raw_ids[0]
    assert run.recommend(user, k=5).equals(packed.recommend(user, k=5))
    record = json.loads((run_folder[0] / "best" / "backbone.json").read_text())
    assert record["groups"] == ["collaborative", "content"]


def test_phases_are_told_apart_by_tasks_that_the_system_has(
    world: Dataset, tiny_backbone: Path
) -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"task": "content-first"}, r"task 'content-first'.*content, mutual, recommend"),
        ({"prompt": {"history_length": 3}}, "gives a prompt, but 'cllm4rec' does not ask"),
        ({"parameters": ["lora"]}, "are collaborative, content"),
    ]
    for changed, message in changes:
        with pytest.raises(ConfigError, match=message):
            recipe(Path("data"), tiny_backbone, phases=[PHASES[0] | changed])
    phase = {"name": "one", "task": "content"}
    values = {"data": "x", "system": {"name": "tallrec"}, "train": {"phases": [phase]}}
    with pytest.raises(ConfigError, match=r"'tallrec' does not know it: it has none; remove it"):
        RunConfig.parse(values, "the test")


def test_training_without_likes_is_refused(world: Dataset) -> None:
    data = training(world)
    disliked = data.train_rows[world.labels("train") == 0]
    with pytest.raises(ConfigError, match="None of the .* training rows is liked"):
        CLLM4RecRecommender.check(TrainingData(world, disliked, data.valid_rows))
    with pytest.raises(ConfigError, match="None of the 0 validation rows is liked"):
        CLLM4RecRecommender.check(TrainingData(world, data.train_rows, data.valid_rows[:0]))


def test_a_phase_that_cannot_be_trained_is_told_before_the_first_begins(
    world: Dataset, gpt2: Path, tmp_path: Path
) -> None:
    world.save(tmp_path / "data")
    late = [PHASES[1] | {"parameters": ["collaborative"]}, PHASES[0]]
    config = recipe(tmp_path / "data", gpt2, phases=late)
    silent = config.system.model_copy(update={"content": "none"})
    config = config.model_copy(update={"system": silent})
    with pytest.raises(ConfigError, match="'content' finds nothing to learn from for content"):
        train_run(config, tmp_path / "silent")
    # Everybody met the one item in train, so that no ranking can choose the last phase's weights.
    rows = [f"u{n % 9},only,{n // 9 % 2},{86_400 * n}" for n in range(180)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.csv").write_text("\n".join(["user,item,label,timestamp", *rows]))
    (tmp_path / "in" / "items.csv").write_text("item,title\nonly,The One\n")
    files = {"interactions": "rows.csv", "items": "items.csv"}
    prepare(
        PrepareConfig(
            source="table", input=tmp_path / "in", output=tmp_path / "one", split="temporal",
            source_options=files,
        )
    )  # fmt: skip
    with pytest.raises(ConfigError, match="that the user has not met in train"):
        train_run(recipe(tmp_path / "one", gpt2), tmp_path / "run")
    for folder in ("silent", "run"):
        assert not (tmp_path / folder / "metrics.jsonl").exists()
        assert not (tmp_path / folder / "phases").exists()


def test_a_stranger_is_scored_by_what_was_liked(
    run_folder: tuple[Path, RunConfig],
) -> None:
    run = load_run(run_folder[0])
    scorer = Scorer(run.recommender)
    pairs = Pairs(
        np.zeros(2, np.int64), np.array([4, 4]), Histories.from_lists([[1, 2, 3], [7, 8, 9]])
    )
    first, second = scorer.score(pairs)
    assert np.isfinite([first, second]).all()
    assert first != second
