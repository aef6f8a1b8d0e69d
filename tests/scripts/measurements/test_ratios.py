"""The table of what was measured."""

from measurements.ratios import Measurement, markdown_table


def test_one_line_a_measurement():
    measured = [
        Measurement(name="ours / theirs", values=[0.5, 0.25, 0.125], target="<= 0.35"),
        Measurement(name="per second", values=[12345.6]),
    ]
    assert markdown_table(measured).splitlines()[2:] == [
        "| ours / theirs | 0.25 | 0.125 | 0.5 | <= 0.35 |",
        "| per second | 12,346 | 12,346 | 12,346 |  |",
    ]
    assert measured[0].as_json()["median"] == 0.25
