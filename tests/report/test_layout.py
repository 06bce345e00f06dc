from corarec.report.layout import TableText, folded, markdown_table

TEXT = TableText(
    columns=("System", "AUC", "interval", "p", "Holm", "warm AUC"),
    systems=[("A | B", "0.7", "[0.6, 0.8]", "0.01", "0.02", "0.9")],
    references=[("Rate", "0.5", "[0.4, 0.6]", "0.03", "0.04", "0.6")],
    note="A note.",
)


def test_intervals_and_p_values_stand_below_their_metric() -> None:
    cells = folded(TEXT.columns, TEXT.systems[0])
    assert [(cell.column, cell.value) for cell in cells] == [
        ("System", "A | B"),
        ("AUC", "0.7"),
        ("warm AUC", "0.9"),
    ]
    assert [cell.below for cell in cells] == [[], ["[0.6, 0.8]", "p 0.01", "Holm 0.02"], []]


def test_markdown_escapes_and_sets_references_apart() -> None:
    assert markdown_table(TEXT).splitlines() == [
        "| System | AUC | interval | p | Holm | warm AUC |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| A \\| B | 0.7 | [0.6, 0.8] | 0.01 | 0.02 | 0.9 |",
        "| *Rate* | 0.5 | [0.4, 0.6] | 0.03 | 0.04 | 0.6 |",
        "",
        "A note.",
    ]


def test_a_line_break_in_a_name_ends_no_table() -> None:
    odd = TableText(("System", "AUC (a\nb)"), [("x\r\ny\u2028z", "0.7")], [("R\n", "0.5")], "")
    assert markdown_table(odd).splitlines()[:4] == [
        "| System | AUC (a\\nb) |",
        "| --- | ---: |",
        "| x\\r\\ny\\u2028z | 0.7 |",
        "| *R\\n* | 0.5 |",
    ]
