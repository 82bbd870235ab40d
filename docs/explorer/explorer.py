"""The state of the page, in the browser: `explorer.js` calls it and shows its answers."""

from __future__ import annotations

import json
import os
import warnings
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clr_cli.main import main
from clr_cli.parser import count
from clr_cli.snippets import WRITERS
from clr_core import Record, schedule_id
from clr_core.adapter import LARGEST_STEP
from clr_core.schedules.samples import usual_end
from clr_core.verification.log import read_rates
from draft import (
    DEFAULT,
    VIEW,
    Draft,
    RefusedError,
    acted,
    address_of,
    built,
    changed,
    draft_of,
    form,
)
from picture import Handle, Log, Picture, handles, short


class Page:
    """The state of the page: the draft, the last good schedule, and the log of a run.

    Every method returns what the page shows then, as JSON.
    """

    def __init__(self) -> None:
        self.width = 800.0
        self.log: Log | None = None
        self.draft, self.view = draft_of(DEFAULT)
        self.good: tuple[Draft, dict[str, str]] = (self.draft, self.view)
        self.error: RefusedError | None = None
        self.notes: list[str] = []
        self.unread: str | None = None
        self.verdict: Draft | None = None
        self._frozen: Picture | None = None
        self._take(self.draft, self.view, "")

    # What the user does.

    def opened(self, address: str, width: float) -> str:
        """The page at an address. If that can't be read, the schedule stays as it is."""
        self.width, self._frozen = float(width), None
        try:
            draft, view = draft_of(address.removeprefix("#") or DEFAULT)
            self._check(draft, view, "")
        except (TypeError, ValueError, LookupError, RecursionError) as error:
            said = str(error) or type(error).__name__
            self.unread = f"The address has no schedule that can be read. {said}"
            return self._shown()
        self._take(draft, view, "")
        return self._shown()

    def changed(self, path: str, value: Any) -> str:
        """Another value in a field."""
        self._frozen = None
        if path.startswith("view."):
            view = {**self.view, path.removeprefix("view."): value}
            self._take(self.draft, view, path)
        else:
            self._take(changed(self.draft, path, value), self.view, path)
        return self._shown()

    def acted(self, action: str) -> str:
        """A phase or part more, or one less."""
        self._frozen = None
        self._take(acted(self.draft, action), self.view, action.partition(" ")[2])
        return self._shown()

    def moved(self, path: str, how: str, amount: float) -> str:
        """A handle at another place; a value that is refused isn't taken.

        Args:
            path: The handle's argument.
            how: "place", in pixels; "keys", by a number of them; "edge", 0 or 1 for the axis' end.
            amount: The number.
        """
        # While a pointer drags, the axes stay.
        picture = self._frozen or self._picture()
        self._frozen = picture if how == "place" else None
        handle = next((each for each in self._handles() if each.path == path), None)
        if handle is None:
            return self._shown()
        text = picture.moved(handle, how, amount)
        draft, view = self.good
        if path.startswith("view."):
            view = {**view, path.removeprefix("view."): text}
        else:
            for each in (path, *handle.also):
                draft = changed(draft, each, text)
        try:
            self._check(draft, view, path)
        except RefusedError as error:
            self.error = error
            return self._shown()
        self._take(draft, view, path)
        return self._shown()

    def released(self) -> str:
        """The end of a drag: the axes fit the curve again."""
        self._frozen = None
        return self._shown()

    def resized(self, width: float) -> str:
        """Another width of the picture."""
        self.width, self._frozen = float(width), None
        return self._shown()

    def verified(self, name: str, data: Any, options: str) -> str:
        """The verdict on a log, as `clr verify` prints it.

        Args:
            name: The file's name.
            data: Its bytes.
            options: JSON: "lr_column", "step_column" and "first_step", as text, and "per_epoch".
        """
        given = json.loads(options)
        log = Path(name.replace("\\", "/")).name or "log"
        flags = [
            f"--{option.replace('_', '-')}={given[option]}"
            for option in ("lr_column", "step_column", "first_step")
            if given.get(option)
        ]
        if given.get("per_epoch"):
            flags.append(f"--steps-per-epoch={self.numbers['steps_per_epoch'] or ''}")
        output, errors = StringIO(), StringIO()
        with TemporaryDirectory() as folder, chdir(folder):
            # The log has a folder to itself: messages show its name alone.
            record = Path(folder, "record.json")
            Record(self.schedule).write(record)
            Path("log").mkdir()
            os.chdir("log")
            Path(log).write_bytes(bytes(data))
            with redirect_stdout(output), redirect_stderr(errors):
                code = main(["verify", *flags, "--json", "--", str(record), log])
            said = errors.getvalue().replace("clr verify: ", "").strip()
            self.verdict = {"command": " ".join(["clr verify record.json", log, *flags])}
            if code not in (0, 1):
                self.log = None
                self.verdict |= {"status": "error", "sentence": said}
                return self._shown()
            steps, lrs, _ = read_rates(
                log,
                lr=given.get("lr_column") or None,
                step=given.get("step_column") or None,
                per_epoch=bool(given.get("per_epoch")),
            )
        verdict = json.loads(output.getvalue())
        times, more = verdict["numbering"]
        updates = [min(max(times * step + more, 0), LARGEST_STEP) for step in steps]
        first = verdict["first_difference"]
        self.log = Log(updates, lrs, None if first is None else times * first + more)
        self.verdict |= {"status": verdict["status"], "sentence": verdict["sentence"]}
        self.verdict |= {"notes": said, "schedule": schedule_id(self.schedule)}
        return self._shown()

    def forgotten(self) -> str:
        """The page without the log."""
        self.log = self.verdict = None
        return self._shown()

    def _check(self, draft: Draft, view: Mapping[str, str], edited: str) -> tuple[Any, Draft]:
        """The schedule and the view of a draft, or a RefusedError."""
        schedule = built(draft, edited=edited)
        numbers: Draft = {}
        for name in VIEW:
            least = 0 if name == "step" else 1
            try:
                text = view.get(name, "")
                numbers[name] = count(least, LARGEST_STEP)(text) if text else None
            except ArgumentTypeError as error:
                raise RefusedError(f"view.{name}", f"`{name}` {error}") from None
        try:
            Record(schedule, numbers["step"] or 0)
            Picture(schedule, numbers, self.width, self.log)
        except (TypeError, ValueError) as error:
            raise RefusedError(edited or "kind", str(error)) from None
        return schedule, numbers

    def _take(self, draft: Draft, view: dict[str, str], edited: str) -> None:
        """Put this into the form, and take its schedule if it is one."""
        self.draft, self.view = draft, view
        self.error = self.unread = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.schedule, self.numbers = self._check(draft, view, edited)
            except RefusedError as error:
                self.error = error
                return
        self.notes = list(dict.fromkeys(str(each.message) for each in caught))
        self.good = draft, view

    def _handles(self) -> Iterator[Handle]:
        yield Handle("view.step", "x", self.numbers["step"] or 0)
        yield from sorted(handles(self.good[0], self.schedule), key=lambda each: each.x)

    def _picture(self) -> Picture:
        picture = Picture(self.schedule, self.numbers, self.width, self.log)
        if self._frozen is not None:
            picture.x = self._frozen.x
            picture.y = {name: self._frozen.y.get(name, axis) for name, axis in picture.y.items()}
        return picture

    def _shown(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # They were kept when the schedule was made.
            return json.dumps(self._shown_now())

    def _shown_now(self) -> Draft:
        picture, schedule = self._picture(), self.schedule
        step = self.numbers["step"] or 0
        record = Record(schedule, step)
        shown = [picture.shown(each) for each in self._handles()]
        stale = self.error is not None and (self.draft, self.view) != self.good
        verdict = self.verdict
        if verdict is not None and "schedule" in verdict:
            verdict = verdict | {"old": verdict["schedule"] != schedule_id(schedule)}
        return {
            "form": form(self.draft),
            "view": [
                {
                    "type": "text",
                    "path": f"view.{name}",
                    "label": name,
                    "hint": hint,
                    "value": self.view.get(name, ""),
                    "placeholder": {"steps": f"{usual_end(schedule)}", "step": "0"}.get(name, ""),
                }
                for name, hint in VIEW.items()
            ],
            "error": self.error and {"path": self.error.path, "message": str(self.error)},
            "unread": self.unread,
            "stale": stale,
            "notes": self.notes,
            "picture": picture.svg(),
            "handles": [each for each in shown if each is not None],
            "now": self._now(step),
            "name": f"{_shortened(repr(schedule))}  ·  id {schedule_id(schedule)}",
            "code": {name: write([schedule], step) for name, write in WRITERS.items()}
            | {"record": record.to_json()},
            "address": address_of(*self.good),
            "verdict": verdict,
        }

    def _now(self, step: int) -> str:
        size = self.numbers["steps_per_epoch"]
        epochs = f" ({short(step / size)} epochs)" if size and step else ""
        momentum = self.schedule.momentum(step)
        which = f"After {step:,} updates{epochs} the next one" if step else "The first update"
        text = f"{which} uses lr {self.schedule.lr(step)!r}"
        return text + ("." if momentum is None else f" and momentum {momentum!r}.")


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]} …"
