import random

import pytest

from workers import launcher


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=5, help="how many SIGKILLs each job gets")


@pytest.fixture(scope="session")
def kills(request):
    """The updates at which a job is killed, and how many it has in all."""
    number = request.config.option.kills
    updates = max(40, 2 * number)
    return sorted(random.Random(number).sample(range(updates - 1), number)), updates


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{launcher.compared} rates and momenta of workers compared")
