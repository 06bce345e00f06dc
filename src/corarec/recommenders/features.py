"""The prompt of CoLLM, which every system with a feature of user and item in the text shares."""

from typing import Annotated

from pydantic import AfterValidator

from corarec.prompts import PromptConfig
from corarec.prompts.templates import title_once

USER, ITEM = "user", "item"
FEATURES = frozenset({USER, ITEM})
"""The slots of the two features."""

TEMPLATE = (
    "#Question: A user has given high ratings to the following {nouns}: {history}. Additionally, "
    "we have information about the user's preferences encoded in the feature {user}. Using all "
    "available information, make a prediction about whether the user would enjoy the {noun} "
    'titled {title} with the feature {item}? Answer with "Yes" or "No". \n#Answer:'
)


class FeaturePrompt(PromptConfig):
    """The prompt of CoLLM (arXiv 2310.19488)."""

    template: Annotated[str, AfterValidator(title_once)] = TEMPLATE
    """As elsewhere, with the slots {user} and {item} for the features of the pair."""
