"""Writes the golden curves from the oracle: `make golden`. A changed line breaks the API."""

import json
from pathlib import Path

from schedules import expected, expected_momenta, named, steps_of

PATH = Path(__file__).parent.parent / "clr_core" / "conformance" / "golden_curves.json"


def document() -> dict:
    """The golden curves, as the file has them."""
    curves, apart = [], 0
    for name, schedule in named():
        steps = steps_of(schedule)
        lrs, near = expected(schedule, steps)
        momenta = None
        if schedule.momentum(0) is not None:
            momenta, near_too = expected_momenta(schedule, steps)
            near += near_too
            steps = [step for step in steps if step in momenta]
        steps = [step for step in steps if step in lrs]
        apart += near
        curves.append(
            {
                "name": name,
                "schedule": schedule.to_dict(),
                "steps": steps,
                "lrs": [_hex(lrs[step]) for step in steps],
                "momenta": momenta and [_hex(momenta[step]) for step in steps],
            }
        )
    return {"curves": curves, "left out, near a midpoint of two float32 numbers": apart}


def _hex(number: float) -> str:
    """The shortest form: 24 bits need no more than six hexadecimal digits."""
    digits, exponent = number.hex().split("p")
    return f"{digits.rstrip('0').rstrip('.')}p{exponent}" if "." in digits else number.hex()


def text() -> str:
    """One curve a line, so that a change can be read in a diff."""
    content = document()
    lines = ",\n".join(json.dumps(curve) for curve in content.pop("curves"))
    return f'{{"curves": [\n{lines}\n], {json.dumps(content)[1:]}\n'


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH}: {len(document()['curves'])} curves")
