"""Ridge regressions in closed form, which leave a training pair's own row out."""
