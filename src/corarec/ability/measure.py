"""General ability of the untouched model and of every run on it, on the same examples."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corarec.ability.harness import ANSWER_TOKENS, measure_with_lm_eval
from corarec.ability.measured import (
    BITS,
    MOVED,
    REPEATED,
    REPEATED_BITS,
    SAME,
    Measured,
    Measurements,
    Values,
)
from corarec.ability.reading import (
    Language,
    Witness,
    bits_of,
    follow,
    most_positions,
    prompt_ids,
    write_greedily,
)
from corarec.ability.records import paired_tests, state_record, task_records
from corarec.ability.repetition import TASK, Serve, described_pairs, repeat, repeat_untouched
from corarec.ability.result import (
    UNTOUCHED,
    AbilityTable,
    StateRecord,
)
from corarec.ability.wanted import Before, Wanted
from corarec.backbone import load_backbone
from corarec.errors import ConfigError
from corarec.progress import Tracker
from corarec.provenance import provenance
from corarec.recommenders.llm import PromptRecommender, PromptSystem
from corarec.runs import Run, load_run
from corarec.types import Pairs


def measure_ability(
    folders: Sequence[Path],
    wanted: Wanted,
    *,
    data: Path | None = None,
    tracker: Tracker | None = None,
) -> tuple[AbilityTable, Measurements]:
    """Measure the untouched model, then every run as it serves general text.

    Parameters
    ----------
    folders
        Runs on one language model.
    data
        Where the runs' dataset is now, if it was moved.

    Raises
    ------
    ConfigError
        The runs stand on different language models or have one name, or no run gives weights to
        the users that were named.
    DataError
        A user or the item is unknown.
    """
    # Blocks compiled for prompts of one kind would be compiled anew, or not, from one state to the
    # next, and round otherwise.
    with torch.compiler.set_stance("force_eager"):
        return _measure_all(folders, wanted, data, tracker or Tracker("general ability", None))


def _measure_all(
    folders: Sequence[Path], wanted: Wanted, data: Path | None, tracker: Tracker
) -> tuple[AbilityTable, Measurements]:
    names = _names(folders)
    measured: Measurements = {}
    states, notes = list[StateRecord](), list[str]()
    before: Before | None = None
    bent = False
    for folder, name in zip(folders, names, strict=True):
        run = load_run(folder, data)
        if before is None:
            first = run
            before = _untouched(run, wanted, measured, states, notes, tracker)
        _check_backbone(run, before, name)
        for state, what, serve, serve_pair in _states(run, name, wanted, notes):
            bent = bent or state != name
            tracker.tell(state)
            found = _measure_state(run, before, wanted, serve, serve_pair, tracker)
            measured[state] = found
            states.append(state_record(state, folder, run, what, found, measured, wanted))
    if wanted.users and not bent:
        raise ConfigError(
            "No run here gives weights of its own to a user in general text, so --user has nothing "
            f"to act on. {' '.join(notes)}"
        )
    assert before is not None
    backbone = first.config.system.backbone
    table = AbilityTable(
        backbone=before.fingerprint,
        model=Path(backbone.model).name or backbone.model,
        dtype=backbone.dtype,
        limit=wanted.limit,
        seed=wanted.seed,
        bootstrap=wanted.bootstrap,
        tasks=task_records(wanted, before),
        states=states,
        tests=paired_tests(measured, wanted.bootstrap),
        notes=list(dict.fromkeys(notes)),
        provenance=_provenance(),
    )
    return table, measured


def _provenance() -> dict[str, Any]:
    made = provenance()
    made["versions"]["lm_eval"] = version("lm_eval")
    return made


def _names(folders: Sequence[Path]) -> list[str]:
    if not folders:
        raise ConfigError("No run was named. Name one or more.")
    names = [folder.resolve().name.removesuffix(".zip") for folder in folders]
    for name in names:
        if names.count(name) > 1 or name == UNTOUCHED:
            raise ConfigError(
                f"Results are told apart by the names of the runs' folders, and {name!r} is taken "
                "twice. Rename one, or measure them one by one."
            )
    return names


def _untouched(
    run: Run,
    wanted: Wanted,
    measured: Measurements,
    states: list[StateRecord],
    notes: list[str],
    tracker: Tracker,
) -> Before:
    """Measure the model that nobody touched: loaded anew, without anything of a run."""
    tracker.tell(UNTOUCHED)
    config = run.config.system.backbone
    place = Path(config.model)
    if place.is_absolute() and not place.exists():
        raise ConfigError(
            f"The language model of {run.folder} lies in its archive. Unpack the archive into a "
            "folder and measure that."
        )
    backbone = load_backbone(config)
    language = Language(backbone.tokenizer, backbone.frame)
    before = Before(language, backbone.fingerprint, run.knowledge.fingerprint, None)
    if wanted.repeats:
        before.pairs = described_pairs(run, wanted.repeats, wanted.seed)
        if before.pairs is None:
            notes.append(
                f"No description is repeated: {run.folder.name} knows no user with enough history."
            )
    model, started = backbone.model, time.process_time()
    for task in wanted.tasks:
        prompts = [language.frame.wrap(example.prompt) for example in task.examples]
        most = most_positions(model) - ANSWER_TOKENS
        whole = prompt_ids(language.tokenizer, prompts, 2**62)
        before.shortened[task.name] = sum(len(ids) > most for ids in whole)
        before.continued[task.name] = write_greedily(
            model,
            language.tokenizer,
            [ids[-most:] for ids in whole],
            ANSWER_TOKENS,
            wanted.batch_tokens,
            tracker.advance,
        )
    for texts in wanted.texts:
        lengths = map(len, prompt_ids(language.tokenizer, texts.texts, 2**62))
        before.shortened[texts.name] = sum(count > most_positions(model) for count in lengths)
    found = Measured()
    _read(model, before, wanted, found, tracker)
    if before.pairs is not None and isinstance(run.recommender, PromptRecommender):
        repeated = repeat_untouched(
            model, language, run.recommender.encoder, before.pairs, tracker.advance
        )
        _keep_repeated(found, repeated)
    found.seconds = time.process_time() - started
    measured[UNTOUCHED] = found
    states.append(state_record(UNTOUCHED, None, None, "nothing", found, measured, wanted))
    return before


def _check_backbone(run: Run, before: Before, name: str) -> None:
    if run.recommender.fingerprint != before.fingerprint:
        raise ConfigError(
            f"The run {name} stands on the language model {run.recommender.fingerprint}, and the "
            f"first on {before.fingerprint}: before and after are of one model. Measure runs on "
            "different models one by one."
        )


Served = Callable[[], AbstractContextManager[Any]]


def _states(
    run: Run, name: str, wanted: Wanted, notes: list[str]
) -> Iterator[tuple[str, str, Served, Serve]]:
    """Yield the states of a run's language model: name, what acts, and how it is opened."""
    recommender = run.recommender
    serve = recommender.language_model

    def for_everybody(pair: Pairs) -> AbstractContextManager[Any]:
        return serve()

    yield name, recommender.general_text, serve, for_everybody
    item = 0 if wanted.item is None else run.directory.item_numbered(wanted.item)
    for user in wanted.users:
        context = run.directory.known(run.directory.user(user))
        pair = context.pairs(np.array([item]))
        try:
            with serve(pair):
                pass
        except ConfigError as error:
            notes.append(f"{name}: {error}")
            return
        of = f"user {user}" + (f" and item {wanted.item}" if wanted.item is not None else "")
        yield f"{name}, increment of {of}", f"the increment of {of}", partial(serve, pair), serve


def _measure_state(
    run: Run,
    before: Before,
    wanted: Wanted,
    serve: Served,
    serve_pair: Serve,
    tracker: Tracker,
) -> Measured:
    found, started = Measured(), time.process_time()
    with serve() as model:
        _read(model, before, wanted, found, tracker)
    of_dataset = run.knowledge.fingerprint == before.dataset
    system, recommender = run.config.system, run.recommender
    if before.pairs is not None and of_dataset and isinstance(recommender, PromptRecommender):
        assert isinstance(system, PromptSystem)
        slots, language = system.added_slots, before.language
        repeated = repeat(recommender, serve_pair, slots, language, before.pairs, tracker.advance)
        _keep_repeated(found, repeated)
    found.seconds = time.process_time() - started
    return found


def _read(model: Any, before: Before, wanted: Wanted, found: Measured, tracker: Tracker) -> None:
    """Measure all but the repetition."""
    language, witness = before.language, Witness()
    parts = measure_with_lm_eval(
        model,
        language,
        [task for task in wanted.tasks if task.kind != "prompts"],
        batch_tokens=wanted.batch_tokens,
        advance=tracker.advance,
    )
    for name, measure, values in parts:
        found.values[name, measure.name] = values
    for task in wanted.tasks:
        followed = follow(
            model,
            language.tokenizer.pad_token_id or 0,
            before.continued[task.name],
            wanted.batch_tokens,
            tracker.advance,
            witness,
        )
        origin = before.followed.setdefault(task.name, followed)
        same = [np.array_equal(a, b) for a, b in zip(followed[0], origin[0], strict=True)]
        moved = [np.abs(a - b).mean() for a, b in zip(followed[1], origin[1], strict=True)]
        rows = tuple(example.row for example in task.examples)
        found.values[task.name, SAME.name] = Values(np.array(same, dtype=np.float64), rows)
        found.values[task.name, MOVED.name] = Values(np.array(moved), rows)
    for texts in wanted.texts:
        found.values[texts.name, BITS.name] = bits_of(
            model, language.tokenizer, texts, wanted.batch_tokens, tracker.advance, witness
        )
    found.digest = witness.digest


def _keep_repeated(found: Measured, repeated: tuple[Values, Values]) -> None:
    for measure, values in zip((REPEATED, REPEATED_BITS), repeated, strict=True):
        found.values[TASK, measure.name] = values
