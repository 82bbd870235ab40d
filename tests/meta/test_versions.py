"""The table of supported versions is what the reports say."""

import pytest

from versions import table

PAGE = """Versions.

<!-- table: versions -->

| `make` | Python | with | passed | skipped | without | date |
| --- | --- | --- | --- | --- | --- | --- |
| test-jax | 3.11.7 | JAX 0.9 | 5 | 0 |  | 2026-01-01 |
| test-torch-versions 2.10.0 | 3.11.7 | torch 2.10.0 | 5 | 0 |  | 2026-01-01 |

<!-- end of table -->

More.
"""
REPORT = """
<testsuites><testsuite tests="7" skipped="3" failures="{failures}" errors="0"
timestamp="2026-11-30T14:02:07+00:00"><properties>
<property name="row" value="rows.torch" /><property name="Python" value="3.12.1" />
<property name="torch" value="2.4.1+cpu" /><property name="NumPy" value="2.4.6" /></properties>
<testcase><skipped message="doesn't have torch.optim.Muon" /></testcase>
<testcase><skipped message="doesn't have torch.optim.Muon" /></testcase>
<testcase><skipped message="on TensorFlow only" /></testcase></testsuite></testsuites>
"""


def test_a_report_becomes_a_row_and_the_others_stay(tmp_path):
    report = tmp_path / "test-torch-versions 2.4.1.xml"
    report.write_text(REPORT.format(failures=0))
    filled = table.filled(PAGE, [report])
    row = (
        "| test-torch-versions 2.4.1 | 3.12.1 | torch 2.4.1, NumPy 2.4.6 | 4 | 3 "
        "| `torch.optim.Muon` (2) | 2026-11-30 |\n"
    )
    assert filled == PAGE.replace(
        "| test-torch-versions 2.10.0", f"{row}| test-torch-versions 2.10.0"
    )
    assert table.filled(filled, [report]) == filled


def test_a_run_that_failed_is_no_row(tmp_path):
    report = tmp_path / "test-jax.xml"
    report.write_text(REPORT.format(failures=2))
    with pytest.raises(ValueError, match="2 tests failed"):
        table.filled(PAGE, [report])
