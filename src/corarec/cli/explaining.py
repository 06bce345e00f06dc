"""Commands that look into one answer of a run: why it is so, and its weights by themselves."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corarec.cli.options import RunData, RunFolder, TableOrJson
from corarec.cli.output import log, print_json, say
from corarec.errors import ConfigError
from corarec.text import printable

if TYPE_CHECKING:
    from corarec.score.explain import Explanation

HOW_TO_READ = (
    "Each line leaves out one thing and keeps all else; a positive effect speaks for the item. The "
    "effects do not add up, and they tell what the model answers to other input, not why a person "
    "likes something."
)
UserOption = Annotated[str | None, typer.Option(help="Raw id of a known user.")]
ItemOption = Annotated[str | None, typer.Option(help="Raw id of a known item.")]
TitleOption = Annotated[str | None, typer.Option(help="Instead: the title of a new item.")]


def explain(
    run: RunFolder,
    user: UserOption = None,
    liked: Annotated[
        list[str] | None, typer.Option(help="A title that a new user liked; repeat, oldest first.")
    ] = None,
    item: ItemOption = None,
    title: TitleOption = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Say how the answer for one user and item moves when one thing is left out at a time."""
    from corarec.runs import load_run

    if (user is None) == (not liked):
        raise ConfigError(
            "Explain for whom? Give either --user, the id of a known user, or --liked, a title "
            "that a new user liked (repeat it for several)."
        )
    if (item is None) == (title is None):
        raise ConfigError(
            "Explain what? Give either --item, the id of a known item, or --title, the title of a "
            "new one."
        )
    explanation = load_run(run, data).explain(user, item, liked=liked or (), title=title)
    if form == "json":
        asked = {"run": str(run), "user": user, "liked": liked or []}
        print_json(asked | explanation.to_dict())
        return
    _print(explanation)


def _print(explanation: "Explanation") -> None:
    title = printable(explanation.title)
    from corarec.score.explain import part_name

    say(f"{explanation.probability:.1%}  {title}  (logit {explanation.logit:.3f})")
    say("")
    say(f"{'effect on':>10}  {'effect on':>11}  {'without':>7}")
    say(f"{'the logit':>10}  {'probability':>11}  {'it':>7}  left out")
    for row in explanation.effects.iter_rows(named=True):
        name = part_name(row["without"], row["title"])
        say(
            f"{row['effect_logit']:>+10.3f}  {100 * row['effect_probability']:>+9.1f}pp  "
            f"{row['probability']:>7.1%}  {printable(name)}"
        )
    say("")
    for part, why in explanation.not_applicable.items():
        say(f"No line for {part_name(part)}. {why}", log)
    if more := explanation.num_liked - explanation.num_shown:
        say(f"Of {explanation.num_liked} liked items the prompt does not show {more}.", log)
    say(HOW_TO_READ, log)


def export_lora(
    run: RunFolder,
    user: Annotated[str, typer.Option(help="Raw id of a known user.")],
    output: Annotated[Path, typer.Option(help="Folder for the LoRA.")],
    item: ItemOption = None,
    title: TitleOption = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Write the weights that a user, or a user and an item, get as a plain PEFT LoRA."""
    from corarec.runs import load_run

    if item is not None and title is not None:
        raise ConfigError("Give --item or --title, not both; or neither, for the user alone.")
    written = load_run(run, data).export_lora(output, user, item, title=title)
    asked = {"run": str(run), "user": user, "item": item, "title": title}
    if form == "json":
        print_json(asked | asdict(written) | {"output": str(written.output)})
        return
    say(
        f"The LoRA of user {printable(user)} is in {written.output}. It goes onto this model, in "
        f"{written.dtype}:"
    )
    say(written.base_model)
    if written.prompt is not None:
        say("Ask with it:")
        say(written.prompt)
        yes, no = map(repr, written.answers)
        say(f"The answer is the logit of {yes} (against {no}) of the token that follows.")
    if not written.user_known:
        say("The CF model does not know this user: the user half of the input is zero.", log)
    if not written.item_known:
        what = "No item was named" if item is None and title is None else "CF knows no such item"
        say(f"{what}: the item half of the input is zero.", log)
    say(
        "It was made from what the CF model learned of this person's likings, and whoever has it "
        "can read likings out of it. No id and no title is in it. Give it to those only who may "
        "know.",
        log,
    )
