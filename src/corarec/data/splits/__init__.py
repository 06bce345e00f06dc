"""One file per split rule."""
