"""A training resumes bit for bit, in whatever order its parts are loaded."""

import pytest

from integration.torch.go_on import OPTIMIZERS, UPDATES, Training, resumed


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bit_for_bit(tmp_path, name):
    straight = Training(name).make().run(0, UPDATES).bits()
    begun = Training(name).make()
    for update in range(0, UPDATES, 3):  # At 3, a momentum is 0.
        path = tmp_path / f"{name}-{update}.pt"
        begun.run(max(update - 3, 0), update).save(path)
        for order, bits in resumed(path):
            assert bits == straight, (order, update)
