from trainers import following


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{following.compared} rates and momenta of trainers compared")
