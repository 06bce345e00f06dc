"""Made-up questions in the forms that are read."""

import json
from pathlib import Path
from typing import Any

import pytest

LABELLED = [
    ("What falls from a cloud?", ("stones", "rain", "a clock"), 2),
    ("What does a baker sell?", ("bread", "sand", "the sea"), 1),
    ("Who reads a book?", ("a lamp", "a spoon", "a child"), 3),
    ("What is cold?", ("fire", "snow", "an oven"), 2),
]


def instruction(question: str, options: tuple[str, ...], right: int) -> dict[str, Any]:
    labels = [f"answer{number}" for number in range(1, len(options) + 1)]
    listed = " ".join(f"Answer{number}: {text}" for number, text in enumerate(options, start=1))
    return {
        "instruction": "Please choose the correct answer to the question: "
        f"{question}\n\n{listed}\n\nAnswer format: {'/'.join(labels)}",
        "input": "",
        "output": f"the correct answer is {labels[right - 1]}",
        "answer": labels[right - 1],
    }


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Return a folder with a file of every kind, and one that is none."""
    folder = tmp_path / "questions"
    folder.mkdir()
    rows = [instruction(*each) for each in LABELLED]
    (folder / "choice.json").write_text(json.dumps(rows))
    summaries = [
        {"article": f"Article: {word} is here.\n\nSummarize.", "summary_gt": f"{word} came."}
        for word in ("Rain", "Bread", "Snow")
    ]
    (folder / "summary.jsonl").write_text("".join(json.dumps(row) + "\n" for row in summaries))
    facts = [{"template": "The capital of Nowhere is", "result_names": [["Nil"], ["Nil City"]]}]
    (folder / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in facts))
    (folder / "prompts.txt").write_text("Tell me of the sea.\n\nTell me of a lamp.\n")
    (folder / "README.md").write_text("not a question")
    return folder
