from corarec.report.data import WeightNorm, Weights
from corarec.report.weight_figure import weight_figure


def norm(
    block: int | None, weight: str, increment: float, frozen: float | None = 4.0
) -> WeightNorm:
    return WeightNorm(block=block, weight=weight, increment=increment, frozen=frozen)


def test_every_weight_has_a_cell_in_per_cent_of_the_frozen_one() -> None:
    norms = [norm(0, "attn.q_proj", 1.0), norm(0, "attn.v_proj", 0.5), norm(1, "attn.q_proj", 2.0)]
    figure = weight_figure(Weights(norms=norms, pairs=200))
    assert figure.chart is not None
    svg = figure.chart.inline()
    assert "<title>block 0, attn.v_proj: 12.5 %</title>" in svg
    assert "<title>block 1, attn.q_proj: 50.0 %</title>" in svg
    assert svg.count("<title>") == 3
    assert ">q</text>" in svg
    assert "over 200 pairs, in per cent" in figure.caption
    assert figure.table.rows()[1] == (0, "attn.v_proj", 0.5, 4.0)


def test_without_the_norm_of_a_frozen_weight_sizes_are_absolute() -> None:
    norms = [norm(None, "attn.c_proj", 0.25, None), norm(0, "mlp.c_proj", 0.0)]
    figure = weight_figure(Weights(norms=norms, pairs=3))
    assert figure.chart is not None
    svg = figure.chart.inline()
    assert "block \N{EN DASH}, attn.c_proj: 0.2<" in svg
    assert "mlp." in svg  # two columns of one last name
    assert "not stored as plain numbers" in figure.caption


def test_increments_of_zero_and_none_at_all() -> None:
    figure = weight_figure(Weights(norms=[norm(0, "q", 0.0, 0.0)], pairs=1))
    assert figure.chart is not None
    assert "nan" not in figure.chart.inline().lower()
    empty = weight_figure(Weights(norms=[], pairs=1))
    assert empty.chart is None
    assert "adapts no weight" in empty.caption


def test_many_blocks_fit() -> None:
    norms = [norm(block, "q_proj", 1.0) for block in range(80)]
    figure = weight_figure(Weights(norms=norms, pairs=1))
    assert figure.chart is not None
    assert figure.chart.height < 900
