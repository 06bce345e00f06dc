"""How a run is joined with its CF model and popularity to recommend, as its folder keeps it."""

import logging
from pathlib import Path

from pydantic import ValidationError

from corarec.errors import ArtifactError
from corarec.files import read_json
from corarec.runs.layout import RANKING
from corarec.score.joined import JoinedRanking
from corarec.text import printable

log = logging.getLogger(__name__)


def read_ranking(folder: Path, weights_digest: str) -> JoinedRanking | None:
    """Return how the run is joined with other parts; None where that was not learned for it.

    Raises
    ------
    ArtifactError
        What was learned is damaged, or of another version.
    """
    path = folder / RANKING
    if not path.exists():
        return None
    try:
        joined = JoinedRanking.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(
            f"{path} is damaged or of another version: {printable(error, 200)}. Delete it, or "
            f"learn it again: `corarec learn-ranking {folder}`."
        ) from None
    if joined.weights_digest != weights_digest:
        log.warning(
            "warning: %s was learned for other weights of this run, so it is not used. Learn it "
            "again: `corarec learn-ranking %s`.",
            path,
            folder,
        )
        return None
    return joined
