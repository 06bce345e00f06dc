"""Plain counting: popularity and rates, and the log of known rows, whose sums end at any moment."""
