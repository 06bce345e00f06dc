"""The contract of the systems that ship, and what is particular to each."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from corarec.backbone.sharing import NotSharedError
from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import RECOMMENDERS, TrainingData, build_recommender
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.recommenders.general_text import plain_model
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptInputs, PromptRecommender
from corarec.recommenders.shuffled import ShuffledUsers, strangers_of
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.testing import SystemConformance
from corarec.testing.system_world import some_rows
from corarec.types import Histories, Pairs

# Short, since the tiny tokenizer makes a token of nearly every letter.
PLAIN = {"template": "{history}: {title}? Answer:", "history_length": 2}
FEATURES = {"template": "{history} by {user}: {item} {title}? Answer:", "history_length": 2}


def open_up(recommender: LanguageRecommender) -> list[torch.nn.Parameter]:
    """Give the projections, which start at zero, values that let the CF vectors through."""
    random = torch.Generator().manual_seed(0)
    projections = [p for name, p in recommender.named_parameters() if "projection" in name]
    for projection in projections:
        projection.data.normal_(std=0.1, generator=random)
    return projections


class TestCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {"rank": 4}

    def test_it_needs_a_cf_model(self, small_world: Dataset, tiny_backbone: Path) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone)})
        with pytest.raises(ConfigError, match="Name one under `cf`"):
            build_recommender(config, small_world)

    def test_the_pair_of_vectors_moves_the_score(
        self, recommender: CoraRecommender, small_world: Dataset, cf: VectorSource
    ) -> None:
        open_up(recommender)
        pairs = small_world.pairs(some_rows(small_world))
        before = Scorer(recommender).score(pairs)
        recommender.cf = ShuffledUsers(cf, small_world.pairs("train"), seed=3)
        assert np.abs(Scorer(recommender).score(pairs) - before).max() > 1e-3

    def test_a_pair_bends_general_text_and_its_own_prompt_as_in_scoring(
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        open_up(recommender)
        pairs = small_world.pairs(some_rows(small_world))
        ids = torch.arange(3, 43).expand(3, -1)
        seen = []
        with torch.inference_mode():
            for pair in (None, pairs.take(np.array([0])), pairs.take(np.array([1]))):
                with recommender.language_model(pair) as model:
                    seen.append(model(input_ids=ids).logits)
            for first, second in ((0, 1), (0, 2), (1, 2)):
                assert (seen[first] - seen[second]).abs().max() > 1e-4
            one = pairs.take(np.array([3]))
            batch = recommender.inputs(one).batch(np.array([0]))
            wanted = recommender.logits(**batch)
            with recommender.language_model(one) as model:
                last = model(**recommender.model_input(**batch)).logits[0, -1]
                words = model.generate(
                    input_ids=batch["input_ids"].expand(2, -1), max_new_tokens=3, do_sample=False
                )
        assert float(last[recommender.answers.yes]) == pytest.approx(float(wanted), abs=1e-5)
        assert torch.equal(words[0], words[1])
        assert int(words[0, batch["input_ids"].shape[1]]) == int(last.argmax())

    def test_late_activation_has_no_increment_of_general_text(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path
    ) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone)}, activation="title")
        late = build_recommender(config, small_world, cf)
        pair = small_world.pairs(some_rows(small_world)[:1])
        with (
            pytest.raises(ConfigError, match=r"late activation .* general text has none"),
            late.language_model(pair),
        ):
            pass

    def test_compiled_blocks_compute_the_same(
        self,
        recommender: CoraRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
    ) -> None:
        config = self.config({"model": str(tiny_backbone), "compile": True})
        compiled = build_recommender(config, small_world, cf, seed=1)
        inputs = recommender.inputs(small_world.pairs("train"))
        # A second batch of another shape, since the blocks are compiled for any.
        for rows in (np.arange(6), np.arange(6, 10)):
            outputs = []
            batch = inputs.batch(rows)
            for vectors in ("user_vectors", "item_vectors"):
                batch[vectors] = batch[vectors].double()
            # In double precision, since this model's gradients are as small as float32's rounding.
            for system in (recommender.double().eval(), compiled.double().eval()):
                system.zero_grad()
                projections = open_up(system)
                logits = system.logits(**batch)
                logits.sum().backward()
                outputs.append([logits.detach(), *(p.grad for p in projections)])
            for plain, fused in zip(*outputs, strict=True):
                assert (plain - fused).abs().max() <= 1e-4 * plain.abs().max()


class TestLateCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {"rank": 4, "activation": "title", "dropout": 0.0}

    def test_the_history_is_read_by_the_frozen_model(
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        self.train_a_little(recommender, small_world)
        recommender.eval()
        batch = recommender.inputs(small_world.pairs(some_rows(small_world)[:1])).batch(
            np.array([0])
        )
        start = int(batch["title_start"][0])
        states = []
        for vectors in (batch["user_vectors"], batch["user_vectors"] + 1):
            e = recommender.vector_input(vectors, batch["item_vectors"])
            active = torch.arange(batch["input_ids"].shape[1])[None] >= start
            with torch.no_grad():
                logits = recommender.model(
                    input_ids=batch["input_ids"], cf_vectors=e, cf_active=active
                ).logits
            states.append(logits[0])
        assert torch.equal(states[0][:start], states[1][:start])
        assert not torch.equal(states[0][start:], states[1][start:])

    def test_training_runs_a_prefix_once_and_without_gradient(
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        pairs = small_world.pairs("train")
        # One user at one moment, asked about two items, and another user.
        twice = replace(
            pairs.take(np.array([400, 400, 700])),
            item_ids=np.array([3, 8, 5]),
            rows=None,
        )
        batch = recommender.inputs(twice).batch(np.arange(3))
        read: list[tuple[torch.Size, bool, bool]] = []

        def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            enabled = recommender.model.base_model.binding.enabled
            read.append((inputs[0].shape, torch.is_grad_enabled(), enabled))

        open_up(recommender)
        recommender.train()
        recommender.training_logits(**batch)  # the first has the trial of the model before it
        embedding = recommender.model.get_base_model().get_input_embeddings()
        handle = embedding.register_forward_pre_hook(note)
        losses, gradients = [], []
        for checkpointing in (False, True):  # which runs whole prompts
            recommender.enable_gradient_checkpointing(checkpointing)
            recommender.zero_grad()
            with torch.random.fork_rng():
                torch.manual_seed(0)  # of the generator's dropout
                loss = recommender(**batch, labels=torch.tensor([1.0, 0.0, 1.0]))
            loss.backward()
            losses.append(loss.detach())
            gradients.append([p.grad for p in recommender.parameters() if p.requires_grad])
        handle.remove()
        (prefix, suffix, whole) = read
        longest = int(batch["title_start"].max())
        assert prefix[0][0] == 2
        assert prefix[0][1] + suffix[0][1] >= longest
        assert prefix[1:] == (False, False)
        assert suffix == (
            torch.Size([3, whole[0][1] - int(batch["title_start"].min())]),
            True,
            True,
        )
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
        for apart, together in zip(*gradients, strict=True):
            assert (apart - together).abs().max() <= 1e-5 * max(1.0, float(together.abs().max()))

    def test_a_model_that_shares_no_prefix_trains_on_whole_prompts_and_says_so(
        self,
        recommender: CoraRecommender,
        small_world: Dataset,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        batch = recommender.inputs(small_world.pairs("train")).batch(np.arange(4))
        recommender.eval()  # without the generator's dropout
        expected = recommender.logits(**batch)

        def refuse(model: torch.nn.Module) -> None:
            raise NotSharedError("it has another kind of memory")

        monkeypatch.setattr("corarec.recommenders.shared.PrefixSharing", refuse)
        for _ in range(2):
            torch.testing.assert_close(recommender.training_logits(**batch), expected)
        assert caplog.text.count("cannot share it, since it has another kind of memory") == 1


class TestResidualCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {"rank": 4, "residual": "cf"}
    step_size = 0.01

    def test_an_untrained_system_leaves_the_answers_of_the_frozen_model(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        pairs: Pairs,
        tiny_backbone: Path,
    ) -> None:
        """It orders pairs as its CF model does, whatever the frozen model says."""
        assert isinstance(recommender, CoraRecommender)
        assert recommender.residual is not None
        rows = small_world.rows("train")
        recommender.prepare(TrainingData(small_world, rows, rows))
        alone, scores = recommender.cf.score(pairs), Scorer(recommender).score(pairs)
        assert len(set(alone)) > 6
        assert np.argsort(alone).tolist() == np.argsort(scores).tolist()
        frozen = recommender.frozen()
        assert frozen is not None
        np.testing.assert_array_equal(Scorer(frozen).score(pairs), scores)

    def test_the_gate_moves_first_and_then_lets_the_increment_through(
        self, recommender: CoraRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        assert recommender.residual is not None
        rows = small_world.rows("train")
        recommender.prepare(TrainingData(small_world, rows, rows))
        inputs = recommender.inputs(small_world.pairs(rows[:8]))
        for moved in (False, True):
            recommender.zero_grad()
            recommender.logits(**inputs.batch(np.arange(8))).sum().backward()
            projections = [p for n, p in recommender.named_parameters() if "projection" in n]
            assert all(bool(p.grad.any()) == moved for p in projections if p.grad is not None)
            assert recommender.residual.gate.grad != 0
            recommender.residual.gate.data.fill_(0.1)

    def test_shuffled_users_have_the_scores_of_their_donors(
        self, recommender: CoraRecommender, small_world: Dataset, cf: VectorSource
    ) -> None:
        pairs = small_world.pairs("train")
        own = recommender.inputs(pairs).scores
        recommender.cf = shuffled = ShuffledUsers(cf, pairs, seed=3)
        donated = recommender.inputs(pairs).scores
        assert own is not None
        assert donated is not None
        expected = cf.score(shuffled.donors(pairs))
        known = ~strangers_of(cf.vector_table(pairs))
        np.testing.assert_array_equal(donated[known], expected[known])
        np.testing.assert_array_equal(donated[~known], own[~known])
        assert (donated != own).mean() > 0.5

    def test_a_lora_cannot_hold_it(self, recommender: CoraRecommender, tmp_path: Path) -> None:
        pair = Pairs(np.array([1]), np.array([1]), Histories.from_lists([[]]))
        with pytest.raises(ConfigError, match=r"system\.residual: cf"):
            recommender.write_lora(pair, tmp_path, base_model="any")

    def test_other_systems_start_from_it_and_it_from_them(
        self,
        recommender: CoraRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        tmp_path: Path,
    ) -> None:
        self.train_a_little(recommender, small_world)
        recommender.save(tmp_path / "residual")
        same = self.build(small_world, cf, tiny_backbone, seed=2)
        assert isinstance(same, CoraRecommender)
        same.take(same.weights_of(tmp_path / "residual"))
        assert same.residual is not None
        assert recommender.residual is not None
        assert same.residual.state_dict() == recommender.residual.state_dict()
        values = {"backbone": {"model": str(tiny_backbone)}, "prompt": PLAIN, "rank": 4}
        plain = build_recommender(CoraSystem.model_validate(values), small_world, cf, seed=2)
        plain.take(plain.weights_of(tmp_path / "residual"))
        plain.save(tmp_path / "plain")
        same.take(same.weights_of(tmp_path / "plain"))


class TestLateResidualCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {
        "rank": 4,
        "residual": "cf",
        "activation": "title",
        "dropout": 0.0,
    }
    step_size = 0.01

    def test_an_untrained_system_leaves_the_answers_of_the_frozen_model(  # type: ignore[override]
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        """Training, which shares prefixes, and scoring have the same logits."""
        self.train_a_little(recommender, small_world)
        inputs = recommender.inputs(small_world.pairs("train"))
        batch = inputs.batch(np.arange(8))
        recommender.eval()
        with torch.no_grad():
            apart = recommender.training_logits(**batch)
            torch.testing.assert_close(apart, recommender.logits(**batch), atol=1e-3, rtol=0)


class TestTALLRec(SystemConformance):
    system, prompt = "tallrec", PLAIN

    def test_layers_that_the_model_does_not_have(
        self, small_world: Dataset, tiny_backbone: Path
    ) -> None:
        config = TALLRecSystem(backbone={"model": str(tiny_backbone)}, targets=("no_proj",))
        with pytest.raises(ConfigError, match="no_proj.*Its linear layers: q_proj"):
            build_recommender(config, small_world)


class TestTALLRecOfThePaper(SystemConformance):
    system = "tallrec"
    prompt: ClassVar[dict[str, Any]] = PLAIN | {
        "template": "{history}, not {disliked}: {title}? Answer:"
    }
    options: ClassVar[dict[str, Any]] = {
        "loss": "language-model",
        "answer": "yes-minus-no",
        "shots": 16,
    }

    def test_it_learns_eight_rows_by_heart(
        self, recommender: LanguageRecommender, small_world: Dataset
    ) -> None:
        """The tiny head cannot say any word surely: the order of the two answers counts."""
        rows = small_world.rows("train")
        labels = small_world.labels(rows)
        chosen = np.sort(np.r_[np.flatnonzero(labels == 1)[:4], np.flatnonzero(labels == 0)[:4]])
        data = TrainingData(small_world, rows[chosen], rows[chosen])
        batch = recommender.examples(data).batch(np.arange(8))
        optimizer = torch.optim.Adam(
            [p for p in recommender.parameters() if p.requires_grad], lr=self.learning_rate
        )
        losses = []
        for _ in range(self.steps):
            optimizer.zero_grad()
            loss = recommender(**batch)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0] - 1
        scores = Scorer(recommender).score(small_world.pairs(data.train_rows))
        assert scores[labels[chosen] == 1].min() > scores[labels[chosen] == 0].max()

    def test_the_loss_is_that_of_the_answer_and_its_full_stop(
        self, recommender: PromptRecommender, small_world: Dataset
    ) -> None:
        """By hand: the mean of minus the log-probabilities of " Yes" or " No" and of "."."""
        rows = small_world.rows("train")
        data = TrainingData(small_world, rows, rows)
        batch = recommender.examples(data).batch(np.arange(8))
        tokenizer = recommender.encoder.tokenizer
        recommender.eval()
        with torch.inference_mode():
            loss = float(recommender(**batch))
            by_hand = []
            for n, label in enumerate(batch["labels"].tolist()):
                prompt = batch["input_ids"][n][batch["attention_mask"][n].bool()].tolist()
                answer = tokenizer(" Yes." if label else " No.", add_special_tokens=False)
                ids = [*prompt, *answer["input_ids"]]
                said = recommender.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
                by_hand += [
                    -float(said[place - 1, ids[place]]) for place in range(len(prompt), len(ids))
                ]
        assert len(by_hand) == 16
        assert loss == pytest.approx(np.mean(by_hand), abs=1e-5)

    def test_it_learns_from_the_rows_that_the_seed_draws(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path
    ) -> None:
        rows = small_world.rows("train")
        data = TrainingData(small_world, rows, rows)
        drawn = []
        for seed in (1, 1, 2):
            recommender = self.build(small_world, cf, tiny_backbone, seed=seed)
            assert isinstance(recommender, PromptRecommender)
            examples = recommender.examples(data)
            assert len(examples) == 16
            assert isinstance(examples.inputs, PromptInputs)
            learned = examples.inputs.pairs.rows
            assert learned is not None
            assert set(learned) <= set(rows)
            drawn.append(learned.tolist())
        assert drawn[0] == drawn[1] != drawn[2]


class TestPrompt4NR(SystemConformance):
    system, prompt = "prompt4nr", FEATURES


class TestPrompt4NROfThePaper(SystemConformance):
    system, prompt = "prompt4nr", FEATURES
    options: ClassVar[dict[str, Any]] = {"start": "original"}


class TestCoLLM(SystemConformance):
    system, prompt = "collm", FEATURES


class TestCoLLMWithTrainedCF(SystemConformance):
    system, prompt = "collm", FEATURES
    options: ClassVar[dict[str, Any]] = {"train_cf": True}


class TestBinLLM(SystemConformance):
    system, prompt = "binllm", FEATURES
    cf_model = "binary-mf"


class TestPersonPrompt(SystemConformance):
    system, prompt = "personprompt", FEATURES


class TestPersonPromptWithLora(SystemConformance):
    system, prompt = "personprompt", FEATURES
    options: ClassVar[dict[str, Any]] = {"start": "original", "lora": {"rank": 2}}


class TestCLLM4Rec(SystemConformance):
    system = "cllm4rec"
    reads_titles = False
    steps = 50
    options: ClassVar[dict[str, Any]] = {"mutual_weight": 0.01}


class TestICL(SystemConformance):
    system, prompt = "icl", PLAIN
    trains = False
    options: ClassVar[dict[str, Any]] = {"answer": "yes"}


class TestICLWithExamples(SystemConformance):
    system, prompt = "icl", PLAIN
    trains = False
    options: ClassVar[dict[str, Any]] = {"shots": 2, "shot_history": 1, "shot_seed": 3}


def test_every_system_is_tested() -> None:
    mine = [each for each in SystemConformance.__subclasses__() if each.__module__ == __name__]
    assert {each.system for each in mine} == set(RECOMMENDERS.built_in)


@pytest.mark.parametrize(
    ("each", "shares"),
    [
        (TestCora, False),  # its increment acts on the history, too, and is the pair's own
        (TestLateCora, True),
        (TestTALLRec, True),
        (TestPrompt4NR, True),
        (TestCoLLM, True),
        (TestBinLLM, True),
        (TestPersonPrompt, True),
        (TestICL, True),
    ],
)
def test_which_systems_read_a_history_once_for_many_items(
    each: type[SystemConformance],
    shares: bool,
    small_world: Dataset,
    tiny_backbone: Path,
) -> None:
    system = each()
    options = {"embedding_size": 4, "max_epochs": 1}
    model, _ = fit_cf(small_world, FitConfig(model=each.cf_model, options=options))
    cf = VectorSource(model, small_world)
    recommender = system.build(small_world, cf, tiny_backbone).eval()
    assert isinstance(recommender, PromptRecommender)
    inputs = recommender.inputs(Context(5, np.array([3, 1, 4])).pairs(np.arange(1, 40)))
    read: list[torch.Size] = []

    def note(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        given = (kwargs.get(name) for name in ("inputs_embeds", "input_ids"))
        read.append(next(value.shape[:2] for value in given if value is not None))

    ways = recommender.ways_to_share()
    assert bool(ways) == shares
    for way in ways:
        with torch.inference_mode():
            batch = inputs.batch(np.arange(39))
            recommender.shared_logits(batch, way)  # with the trial
            handle = plain_model(recommender.model).register_forward_pre_hook(
                note, with_kwargs=True
            )
            recommender.shared_logits(batch, way)
            handle.remove()
        assert read[0][0] == 1
        assert sum(rows for rows, _ in read[1:]) == 39
        assert max(width for _, width in read[1:]) + read[0][1] <= batch["input_ids"].shape[1]
        read.clear()


def test_icl_trains_nothing(small_world: Dataset, tiny_backbone: Path) -> None:
    config = ICLSystem(backbone={"model": str(tiny_backbone)})
    recommender = build_recommender(config, small_world)
    assert recommender.trainable_parameters() == 0
    scores = Scorer(recommender).score(small_world.pairs("valid"))
    yes = build_recommender(config.model_copy(update={"answer": "yes"}), small_world)
    assert not np.allclose(scores, Scorer(yes).score(small_world.pairs("valid")))


@pytest.mark.parametrize(
    "name",
    [name for name, kind in RECOMMENDERS.items() if issubclass(kind, PromptRecommender)],
)
def test_every_system_scores_without_titles(
    name: str, small_world: Dataset, tiny_backbone: Path
) -> None:
    """Ids alone: what reads nothing else gives all pairs one score, the others tell pairs apart."""
    kind = RECOMMENDERS[name]
    values = {"name": name, "backbone": {"model": str(tiny_backbone)}, "prompt": {"titles": "none"}}
    cf = None
    if kind.needs_cf:
        model = "binary-mf" if name == "binllm" else "mf-b"
        options = {"embedding_size": 8, "max_epochs": 3}
        fitted, _ = fit_cf(small_world, FitConfig(model=model, options=options))
        cf = VectorSource(fitted, small_world)
    recommender = build_recommender(kind.config_class.model_validate(values), small_world, cf)
    open_up(recommender)
    pairs = small_world.pairs("train").take(slice(0, 200))
    scores = Scorer(recommender).score(pairs)
    assert np.isfinite(scores).all()
    by_text_alone = name in ("icl", "tallrec", "prompt4nr")
    assert (np.ptp(scores) > 1e-6) != by_text_alone
