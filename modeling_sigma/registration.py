"""Makes Sigma known to transformers' Auto classes and pipelines, as soon as a program has imported them.

`import modeling_sigma` costs nothing by itself: it neither imports transformers nor waits for it. It leaves a finder
that watches transformers arrive, and registers Sigma once the Auto classes are there and no import is under way.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from modeling_sigma.model.model_kinds_sigma import (
    FEATURES,
    MODEL_KINDS,
    PIPELINE_KINDS,
    ModelKind,
    PipelineKind,
    served_pipelines,
)


_AUTO_CLASSES = "transformers.models.auto.configuration_auto"


def register_sigma() -> None:
    """Registers configuration, processor, models and pipelines. Calling it again changes nothing."""
    import transformers
    from transformers import AutoConfig, AutoFeatureExtractor, AutoProcessor
    from transformers.pipelines import PIPELINE_REGISTRY

    from modeling_sigma.model.configuration_sigma import SigmaConfig
    from modeling_sigma.model.configuration_sigma_pose import SigmaPoseConfig
    from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
    from modeling_sigma.model.processing_sigma import SigmaProcessor

    AutoConfig.register("sigma", SigmaConfig, exist_ok=True)
    AutoConfig.register("sigma_pose", SigmaPoseConfig, exist_ok=True)
    AutoFeatureExtractor.register(SigmaConfig, SigmaFeatureExtractor, exist_ok=True)
    AutoProcessor.register(SigmaConfig, SigmaProcessor, exist_ok=True)
    # AutoProcessor knows classes that are registered, and a model without a tokenizer names this one as its processor.
    AutoProcessor.register(SigmaPoseConfig, SigmaFeatureExtractor, exist_ok=True)
    if not transformers.utils.is_torch_available():  # exported models need extractor and processor alone
        return
    for kind in MODEL_KINDS.values():
        getattr(transformers, kind.auto_class).register(SigmaConfig, defined_class(kind), exist_ok=True)
    for pipeline in PIPELINE_KINDS.values():
        if pipeline.name not in PIPELINE_REGISTRY.get_supported_tasks():
            meant_for = [kind for kind in MODEL_KINDS.values() if kind.pipelines[:1] == (pipeline.name,)]
            loader = getattr(transformers, meant_for[0].auto_class) if meant_for else _AnyKind
            PIPELINE_REGISTRY.register_pipeline(
                pipeline.name, pipeline_class=defined_class(pipeline), pt_model=loader, type="multimodal"
            )


class _AnyKind:
    """Stands for an Auto class where `transformers.pipeline` is asked for what every kind of model can do."""

    @classmethod
    def from_pretrained(cls, name_or_path: Any, **kwargs: Any) -> Any:
        """The model that its configuration says it is."""
        import transformers

        config = transformers.AutoConfig.from_pretrained(name_or_path, **kwargs)
        auto_class = served_pipelines(MODEL_KINDS[config.architectures[0]])[FEATURES]
        return getattr(transformers, auto_class).from_pretrained(name_or_path, **kwargs)


def defined_class(kind: ModelKind | PipelineKind) -> Any:
    """The class that an entry of the tables names."""
    return getattr(importlib.import_module(f"modeling_sigma.model.{kind.module}"), kind.class_name)


def register_when_transformers_is_there() -> None:
    """Registers at once where transformers' Auto classes are imported already, else when they are."""
    if _AUTO_CLASSES in sys.modules:
        register_sigma()
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


class _Watcher(MetaPathFinder):
    """Finds modules of transformers and of this package where Python would, and counts how deep their imports nest.

    Registering in the middle of one would import half a module.
    """

    _PACKAGES = ("transformers", "modeling_sigma")

    def __init__(self) -> None:
        self._nesting = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = functools.partial(self._execute, loader.exec_module)
        return spec

    def _execute(self, execute: Any, module: ModuleType) -> None:
        self._nesting.depth = getattr(self._nesting, "depth", 0) + 1
        try:
            execute(module)
        finally:
            self._nesting.depth -= 1
        if self._nesting.depth == 0 and _AUTO_CLASSES in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            register_sigma()
