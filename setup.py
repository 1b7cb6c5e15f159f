"""Puts the training configurations and the shipped checkpoint into the wheel; everything else is in setup.cfg.

They have one home each, in examples/configs and checkpoints, where people read them.
`modeling_sigma.hub.shipped_files` finds them there in a checkout, and in `modeling_sigma/shipped` in a wheel.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


ROOT = Path(__file__).resolve().parent


class BuildWithShippedFiles(build_py):
    """Copies them beside the modules of a build; an editable installation finds them in the checkout."""

    def _shipped(self) -> dict[str, str]:
        target = Path(self.build_lib) / "modeling_sigma" / "shipped"
        files = {path: target / "configs" / path.name for path in (ROOT / "examples" / "configs").glob("*.yaml")}
        for path in (ROOT / "checkpoints").glob("*/*.*"):
            files[path] = target / "checkpoints" / path.parent.name / path.name
        return {str(target): str(path) for path, target in files.items()}

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for target, path in self._shipped().items():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self._shipped())]


setup(cmdclass={"build_py": BuildWithShippedFiles})
