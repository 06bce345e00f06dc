"""Kill a command at its file-system events, start it again, and compare with a run left alone.

    python benchmarks/crash_points.py --points 100

runs `corarec train` (a made-up world, a CF fit on the way, a tiny random language model, several
checkpoints) once to count its file-system events: open for writing, write, truncate, rename, fsync,
mkdir, unlink, rmdir. Then, for events spread over the whole command, it runs the command again,
killed (SIGKILL) at that event, a write half done, and a last time to the end. Every second
point is killed a second time on the way back. What there is then must be what the run that was
left alone has: the same files, no other, and the same bytes in each, seconds aside.
`--command pretrain-backbone` does the same to that command.

Events are seen by a small library that is compiled with `cc` and preloaded, so that no writer can
hide. `--python` sees them by Python's audit events instead: fewer, but no compiler is needed.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RESULT = HERE / "results" / "crash_points.json"
PRELOADED = "CORAREC_CRASH_LIBRARY"
COMMANDS = ("train", "pretrain-backbone")
PROCESSES = multiprocessing.get_context("forkserver")
TRAINER_STATE, MANIFEST = "trainer_state.json", "manifest.json"
RECORD = "training.json"
"""What each process cost: a run that was killed had more of them."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Job:
    """A command that writes into `output`, which lies in a folder of its own."""

    command: str
    recipe: Path
    output: Path
    log: Path
    """Where the events of the last run stand, a line each."""

    def run(self, kill_at: int = 0) -> int:
        """Run the command, killed at an event (0: never); return the exit status."""
        process = PROCESSES.Process(target=_run, args=(self, kill_at))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def events(self) -> list[str]:
        """Return the kinds and paths of the last run's events."""
        return self.log.read_text("utf-8").splitlines()

    def clear(self) -> None:
        """Take away what the command wrote."""
        shutil.rmtree(self.output.parent)
        self.output.parent.mkdir()

    def content(self) -> dict[str, Any]:
        """Return every file beside or under the output, by its path, without seconds."""
        top = self.output.parent
        return {
            str(path.relative_to(top)): (
                _content(path) if path.is_file() and path.name != RECORD else None
            )
            for path in sorted(top.rglob("*"))
        }


@dataclass(frozen=True)
class Point:
    """What became of a run that was killed."""

    kills: tuple[str, ...]
    """The events it was killed at."""
    differing: tuple[str, ...]
    """Files that are missing, too many, or not the same; or the exit status of the last run."""


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text("utf-8")))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        # `epoch` is transformers' own note of how far one process came: nothing reads it, but the
        # digests of the file that holds it, and of the file that holds those, follow it.
        left_out = ("seconds", "tokens_per_second", "epoch", TRAINER_STATE, MANIFEST)
        return {key: _timeless(inner) for key, inner in value.items() if key not in left_out}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _run(job: Job, kill_at: int) -> None:
    """Run the command of a job in this process, which ends with it."""
    import torch

    from corarec.cf.training.checkpoint import Checkpointer
    from corarec.cli import main
    from corarec.pretrain import tokenizer

    torch.set_num_threads(1)
    Checkpointer.__init__.__defaults__ = (0.0,)  # after every epoch, not every half minute
    if job.command == "train":
        time.perf_counter = lambda: 0.0  # the seconds of the CF fit, whose digests are kept
    tokenizer._OFTEN = 100  # there is little text beside the years
    with job.log.with_suffix(".output").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = ["corarec", job.command, str(job.recipe), "--output", str(job.output)]
    top = str(job.output.parent)
    if library := os.environ.get(PRELOADED):
        ctypes.CDLL(library).crash_arm(top.encode(), ctypes.c_long(kill_at), str(job.log).encode())
    else:
        _watch(top, kill_at, job.log)
    main()


def _watch(top: str, kill_at: int, log: Path) -> None:
    """Do what the preloaded library does, as far as Python sees it."""
    stream = log.open("w", encoding="utf-8", buffering=1)
    kinds = {"os.remove": "unlink", "os.mkdir": "mkdir", "os.rmdir": "rmdir", "os.rename": "rename"}
    seen = 0

    def event(kind: str, path: str) -> None:
        nonlocal seen
        if path == top or path.startswith(top + "/"):
            seen += 1
            stream.write(f"{kind} {path[len(top) + 1 :]}\n")
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, values: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(values[0], str) and values[2] & WRITING:
            event("open", os.path.abspath(values[0]))  # noqa: PTH100
        elif name in kinds:
            path = os.fspath(values[1] if name == "os.rename" else values[0])
            folder = values[-1]
            if folder != -1:
                path = f"{os.readlink(f'/proc/self/fd/{folder}')}/{path}"  # noqa: PTH115
            event(kinds[name], os.path.abspath(path))  # noqa: PTH100

    def fsync(fd: int) -> None:
        event("fsync", os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115
        original(fd)

    original = os.fsync
    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(hook)


def make_job(command: str, folder: Path) -> Job:
    """Make what the command needs: data, a language model, a recipe."""
    maker = make_training if command == "train" else make_pretraining
    process = PROCESSES.Process(target=maker, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == 0
    home = folder / "home"
    home.mkdir()
    return Job(command, folder / "recipe.yaml", home / "run", folder / "events.txt")


def make_training(folder: Path) -> None:
    """Write a world, a random language model and a recipe that trains CoRA in a second."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from corarec.backbone.load import BUNDLED
    from corarec.data import PrepareConfig, prepare

    size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20}
    prepare(
        PrepareConfig(
            source="synthetic", output=folder / "world", split="published", source_options=size
        )
    )
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=1024,
    )
    LlamaForCausalLM(shape).save_pretrained(folder / "backbone")
    tokenizer.save_pretrained(folder / "backbone")
    recipe = {
        "data": str(folder / "world"),
        "cf": {"model": "mf-b", "options": {"embedding_size": 4, "max_epochs": 3}},
        "system": {"name": "cora", "backbone": {"model": str(folder / "backbone")}, "rank": 2},
        "train": {
            "steps": 8,
            "batch_size": 4,
            "warmup_steps": 1,
            "validate_every": 2,
            "validation_rows": 30,
            "threads": 1,
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")


def make_pretraining(folder: Path) -> None:
    """Write a text and a recipe that pretrains on it in seconds."""
    notes = [f"Note {n}. The sea was calm and the road was long." for n in range(200)]
    (folder / "notes.txt").write_text("\n\n".join(notes) + "\n", "utf-8")
    recipe = {
        "sources": {
            "notes": {"path": "notes.txt", "templates": [{"text": "{{ text }} Yes"}]},
        },
        "tokenizer": {"pieces": 600, "characters": 20_000, "mix": {"notes": 1}},
        "model": {
            "hidden": 16,
            "layers": 1,
            "heads": 2,
            "key_value_heads": 2,
            "feed_forward": 32,
            "positions": 64,
        },
        "optimizer": {"batch_tokens": 128},
        "phases": [{"name": "only", "tokens": 128 * 8, "mix": {"notes": 1}, "block": 32}],
        "log_steps": 1,
        "save_steps": 2,
        "prompts": ["The sea"],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")


def spread(events: int, points: int) -> list[int]:
    """Return the numbers of at most `points` events, the first and the last among them."""
    if points >= events:
        return list(range(1, events + 1))
    return [1 + round(n * (events - 1) / max(1, points - 1)) for n in range(points)]


def compare(whole: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the files that are missing, too many or not the same."""
    return [path for path in sorted(whole | now) if whole.get(path, ...) != now.get(path, ...)]


def crash(job: Job, whole: dict[str, Any], kill_at: int, again: bool) -> Point:
    """Kill the command at an event, a second time on the way back if asked to; then let it end."""
    kills = []
    for event in (kill_at, 1 + kill_at // 2) if again else (kill_at,):
        if job.run(event) != -signal.SIGKILL:
            break  # the way back is shorter than where it should be killed
        kills.append(job.events()[event - 1])
    status = job.run()
    now = job.content() if status == 0 else {}
    differing = compare(whole, now)
    if status:
        said = job.log.with_suffix(".output").read_text("utf-8").strip()
        differing = [f"exit status {status}: {said[-300:]}"]
    return Point(tuple(kills), tuple(differing))


def measure(command: str, points: int, show: Callable[[str], None]) -> dict[str, Any]:
    """Return the events of a command and what became of each point."""
    with tempfile.TemporaryDirectory() as name:
        job = make_job(command, Path(name).resolve())
        status = job.run()
        if status:
            sys.exit(job.log.with_suffix(".output").read_text("utf-8"))
        events, whole = job.events(), job.content()
        job.clear()
        job.run()
        steady = job.content()
        if differing := compare(whole, steady):
            sys.exit(f"two runs left alone differ: {', '.join(differing)}")
        results = []
        for number, kill_at in enumerate(spread(len(events), points)):
            job.clear()
            point = crash(job, whole, kill_at, again=number % 2 == 1)
            results.append(point)
            verdict = " ".join(point.differing) or "same"
            show(f"{kill_at:>5}  {', then '.join(point.kills)}: {verdict}")
    failed = [point for point in results if point.differing]
    return {
        "command": command,
        "events": len(events),
        "kinds": dict(Counter(event.split(" ", 1)[0] for event in events).most_common()),
        "points": len(results),
        "killed twice": sum(len(point.kills) == 2 for point in results),
        "points by kind": dict(Counter(p.kills[0].split(" ", 1)[0] for p in results).most_common()),
        "not the same": [{"kills": p.kills, "differing": p.differing} for p in failed],
    }


def preload() -> None:
    """Compile the library and start this program again under it."""
    folder = tempfile.mkdtemp(prefix="crash-points-")
    library = str(Path(folder) / "crash_points.so")
    source = str(HERE / "crash_points.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": library, PRELOADED: library}
    status = subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
    shutil.rmtree(folder)
    sys.exit(status)


def main() -> None:
    """Run the points, write the result, and exit 1 if one is not the same."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--command", choices=COMMANDS, default="train")
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--python", action="store_true", help="see Python's audit events only")
    parser.add_argument("--result", type=Path, help="a JSON file to add the counts to")
    options = parser.parse_args()
    if not options.python and PRELOADED not in os.environ:
        preload()
    os.environ["OMP_NUM_THREADS"] = "1"
    PROCESSES.set_forkserver_preload(
        ["corarec.cli", "corarec.train", "corarec.pretrain.pretrain", "transformers"]
    )
    result = measure(options.command, options.points, lambda line: print(line, flush=True))
    print(json.dumps(result, indent=2))
    if options.result:
        known = json.loads(options.result.read_text("utf-8")) if options.result.exists() else {}
        known[options.command] = result
        options.result.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    sys.exit(1 if result["not the same"] else 0)


if __name__ == "__main__":
    main()
