"""Has workers read files and keep the signs of visitors, and turns their answers into what the page shows."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from limits import NUM_WORKERS, VIDEO_SECONDS, WORK_SECONDS
from model_profile import ModelProfile
from page_pieces import alert, notes

from modeling_sigma.io.load_clip import VIDEO_SUFFIXES
from modeling_sigma.serving.bounded_workers import BoundedWorkers
from modeling_sigma.serving.request_limits import check_texts


class Reader:
    """What happens when a visitor, or a program, asks.

    Args:
        profiles (`Mapping[str, ModelProfile]`): The models by name; the first is loaded at the start.
        no_videos (`str`): Why videos cannot be read; empty if they can.
        kept_signs (`Path`, *optional*): The folder of a dictionary that all visitors of the first model share.
    """

    def __init__(self, profiles: Mapping[str, ModelProfile], no_videos: str, kept_signs: Path | None) -> None:
        self.profiles, self.no_videos, self.kept_signs = profiles, no_videos, kept_signs
        first = next(iter(profiles.values()))
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), first.path]
        self.workers = BoundedWorkers(command, NUM_WORKERS)
        # One worker stays free of videos, which take minutes.
        self.videos = threading.Semaphore(max(1, NUM_WORKERS - 1))

    def open_visit(self, visit: str | None) -> str:
        """The folder of a visit: the last clip and the signs that were taught."""
        return visit if visit and Path(visit).is_dir() else tempfile.mkdtemp(prefix="visit-")

    def close_visit(self, visit: str | None) -> None:
        """Deletes it."""
        if visit:
            shutil.rmtree(visit, ignore_errors=True)

    def signs_are_kept(self, model: str) -> bool:
        """Whether what is taught to this model outlasts the visit."""
        return self.kept_signs is not None and model == next(iter(self.profiles))

    def ask(self, model: str, action: str, visit: str, file: str | None = None, **facts: Any) -> dict[str, Any]:
        """Has a worker do something.

        Raises:
            ValueError: in words for the visitor, without paths of the server.
        """
        profile = self.profiles[model]
        own = Path(visit) / f"signs-{list(self.profiles).index(model)}"
        signs = self.kept_signs if self.signs_are_kept(model) else own
        request = {
            "action": action, "model": profile.path, "name": model, "visit": visit, "signs": str(signs), "file": file,
            **facts,
        }  # fmt: skip
        is_video = Path(file or "").suffix.lower() in VIDEO_SUFFIXES
        try:
            if is_video and self.no_videos:
                raise ValueError(self.no_videos)
            with self.videos if is_video else nullcontext():
                return self.workers.ask(request, VIDEO_SECONDS if is_video else WORK_SECONDS)
        except ValueError as error:
            said = str(error).replace(profile.path, model)
            for path in filter(None, (file, str(signs), visit)):
                said = said.replace(path, Path(path).name)
            raise ValueError(said) from error

    def read(
        self, file: str | None, model: str, language: str, texts: str, coverage: float | None, visit: str, dark: bool
    ) -> dict[str, str]:
        """HTML of each place on the page, for a file of a visitor."""
        shown = dict.fromkeys(("message", "result", "signs", "skeleton", "picture"), "")
        try:
            if not file:
                raise ValueError("There is nothing to read yet: record yourself or choose a file first.")
            answer = self._answer(file, model, language, texts, coverage, visit, dark=dark)
        except ValueError as error:
            return {**shown, "message": alert(str(error))}
        warned = notes("Take this answer with care", answer.pop("warnings"))
        return {**shown, **answer, "message": warned}

    def recognize(self, file: str, model: str, texts: str, coverage: float | None) -> dict[str, Any]:
        """The answer for a program.

        Raises:
            ValueError: as `ask`.
        """
        visit = self.open_visit(None)
        try:
            return self._answer(file, model, "English", texts, coverage, visit, is_for_program=True)["plain"]
        finally:
            self.close_visit(visit)

    def _answer(
        self,
        file: str,
        model: str,
        language: str,
        texts: str,
        coverage: float | None,
        visit: str,
        dark: bool = False,
        is_for_program: bool = False,
    ) -> dict[str, Any]:
        if self.profiles[model].problem:
            raise ValueError(self.profiles[model].problem)
        lines = [line.strip() for line in texts.splitlines() if line.strip()]
        check_texts(lines)
        return self.ask(
            model, "read", visit, file,
            language=language, texts=lines, dark=dark, coverage=coverage, is_for_program=is_for_program,
        )  # fmt: skip
