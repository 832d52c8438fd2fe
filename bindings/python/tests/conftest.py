"""What the tests share, and the lines that say in a few words what was covered."""

import pytest

import omma


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def ctx(request):
    with omma.Context(num_threads=request.param) as context:
        yield context


def pytest_terminal_summary(terminalreporter):
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", [])]
    ran = sum("test_onnx.py::test_case[" in name for name in passed)
    listed = sum("test_onnx.py::test_listed_case" in name for name in passed)
    if ran:
        terminalreporter.write_line(f">> {ran} node cases of ONNX run, {listed} listed with a reason")
    terminalreporter.write_line(f">> {len(passed)} tests of the Python package, omma on {omma.isa()}")
