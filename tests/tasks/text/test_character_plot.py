"""A chart made of characters."""

from tasks.text.character_plot import character_plot

CURVES = {"teacher": {40: 0.0, 0: 50.0, -10: 100.0}, "student": {40: 0.0, 0: 60.0, -10: 90.0}}


def drawn(curves: dict[str, dict[int, float]]) -> list[str]:
    return list(character_plot(curves, x_label="SNR dB", y_label="WER %"))


def test_points_are_where_their_values_are() -> None:
    label, *rows, _, ends, names = drawn(CURVES)
    assert label == "WER %"
    assert rows[0].startswith(" 100 |") and rows[0].endswith("a")
    assert rows[-1].startswith("   0 |*"), "both begin at 0"
    last = [line[66:] for line in rows]
    assert (last.index("a"), last.index("b")) == (0, 1), "90 is below 100"
    assert ends.split() == ["40", "-10", "SNR", "dB"]
    assert names.strip() == "a teacher, b student, * several"
    assert max(map(len, drawn(CURVES))) <= 79


def test_the_axis_ends_at_a_multiple_of_ten_above_all_points() -> None:
    assert drawn({"student": {20: 3.0, 0: 131.0}})[1].startswith(" 140 |")
    assert drawn({"student": {20: 0.0, 0: 0.0}})[1].startswith("  10 |")


def test_a_single_point_is_a_plot_too() -> None:
    assert sum(line.count("a") for line in drawn({"x": {20: 5.0}})[1:-1]) == 1
