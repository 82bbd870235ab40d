"""The examples in the optimizers' docstrings run."""

import doctest

import clr_keras.optimizer


def test_examples():
    done = doctest.testmod(clr_keras.optimizer)
    assert done.attempted >= 15
    assert done.failed == 0
