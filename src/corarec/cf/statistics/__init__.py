"""`statistics`: what plain counting knows of users and items, honestly made."""

from corarec.cf.statistics.config import StatisticsConfig
from corarec.cf.statistics.model import Statistics

__all__ = ["Statistics", "StatisticsConfig"]
