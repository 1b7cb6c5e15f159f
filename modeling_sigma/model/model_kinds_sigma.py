"""The kinds of Sigma models and of pipelines: one table, which everything that asks "what is this model?" reads.

A new head is a class and an entry here. Entries are strings, so that asking does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PipelineKind:
    """A pipeline.

    Args:
        name (`str`): The task name that `transformers.pipeline` knows it by.
        module (`str`): The file of this folder that defines it.
        class_name (`str`): The name of its class.
        writes (`bool`): Whether a generative model serves it.
    """

    name: str
    module: str
    class_name: str
    writes: bool = True


@dataclass(frozen=True)
class ModelKind:
    """A class of models.

    Args:
        class_name (`str`): The name of the class, as in `architectures` of `config.json`.
        module (`str`): The file of this folder that defines it.
        auto_class (`str`): The Auto class that loads it.
        pipelines (`tuple[str, ...]`): The pipelines that it serves; the one that it is meant for comes first.
        head (`str`, *optional*): The name that training uses (`--head`); None for a class that is not trained.
        tasks (`tuple[str, ...]`): What it can be trained for: `"islr"`, `"cslr"`, `"slt"`, `"segmentation"`,
            `"pretrain"`.
        label_layer (`str`, *optional*): The layer with one row per label, for heads that choose among labels.
        serves_as (`tuple[str, ...]`): Other classes that can load all of its weights, and whose pipelines it serves.
        adapter_task (`str`, *optional*): The `task_type` of PEFT for its adapters.
    """

    class_name: str
    module: str
    auto_class: str
    pipelines: tuple[str, ...] = ()
    head: str | None = None
    tasks: tuple[str, ...] = ()
    label_layer: str | None = None
    serves_as: tuple[str, ...] = ()
    adapter_task: str | None = None

    @property
    def has_labels(self) -> bool:
        """Whether it chooses among labels: it may then have no tokenizer, and writes no text."""
        return self.label_layer is not None

    @property
    def writes(self) -> bool:
        """Whether it writes text: it then comes with a `generation_config.json`."""
        return not self.has_labels and any(PIPELINE_KINDS[name].writes for name in self.pipelines)


# The pipeline that finds signs in recordings and names them, and the one that says only where they are.
TRANSCRIPTION = "sign-transcription"
SEGMENTATION = "sign-segmentation"
# The pipeline that every kind serves.
FEATURES = "sign-feature-extraction"

PIPELINE_KINDS: Mapping[str, PipelineKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            PipelineKind("sign-language-translation", "pipeline_sigma", "SignLanguageTranslationPipeline"),
            PipelineKind("isolated-sign-recognition", "pipeline_sigma", "IsolatedSignRecognitionPipeline"),
            PipelineKind("continuous-sign-recognition", "pipeline_sigma", "ContinuousSignRecognitionPipeline"),
            PipelineKind("sign-text-retrieval", "pipeline_retrieval_sigma", "SignTextRetrievalPipeline", writes=False),
            PipelineKind(TRANSCRIPTION, "pipeline_transcription_sigma", "SignTranscriptionPipeline", writes=False),
            PipelineKind(SEGMENTATION, "pipeline_segmentation_sigma", "SignSegmentationPipeline", writes=False),
            PipelineKind(FEATURES, "pipeline_features_sigma", "SignFeatureExtractionPipeline", writes=False),
        )
    }
)
_WRITING = tuple(kind.name for kind in PIPELINE_KINDS.values() if kind.writes)

# Not read-only: a program with a head of its own adds its entry, and calls `register_sigma`.
MODEL_KINDS: MutableMapping[str, ModelKind] = {
    kind.class_name: kind
    for kind in (
        ModelKind("SigmaModel", "modeling_sigma", "AutoModel", ("sign-text-retrieval", FEATURES)),
        ModelKind(
            "SigmaForPreTraining",
            "modeling_sigma_pretraining",
            "AutoModelForPreTraining",
            head="pretrain",
            tasks=("pretrain",),
            serves_as=("SigmaForConditionalGeneration", "SigmaModel"),
        ),
        ModelKind(
            "SigmaForConditionalGeneration",
            "modeling_sigma_heads",
            "AutoModelForSeq2SeqLM",
            (*_WRITING, FEATURES),
            head="generation",
            tasks=("islr", "cslr", "slt"),
            adapter_task="SEQ_2_SEQ_LM",
        ),
        ModelKind(
            "SigmaForSequenceClassification",
            "modeling_sigma_heads",
            "AutoModelForSequenceClassification",
            ("isolated-sign-recognition", TRANSCRIPTION, FEATURES),
            head="classification",
            tasks=("islr",),
            label_layer="classifier",
            adapter_task="SEQ_CLS",
        ),
        ModelKind(
            "SigmaForCTC",
            "modeling_sigma_heads",
            "AutoModelForCTC",
            ("continuous-sign-recognition", TRANSCRIPTION, FEATURES),
            head="ctc",
            tasks=("cslr",),
            label_layer="ctc_head",
        ),
        ModelKind(
            "SigmaForSignSegmentation",
            "modeling_sigma_heads",
            "AutoModelForTokenClassification",
            (SEGMENTATION, FEATURES),
            head="segmentation",
            tasks=("segmentation",),
            label_layer="boundary_head",
        ),
    )
}


def served_pipelines(kind: ModelKind) -> dict[str, str]:
    """Pipeline -> the Auto class that loads this kind of weights for it; the pipeline the kind is for comes first."""
    served = dict.fromkeys(kind.pipelines, kind.auto_class)
    for other in kind.serves_as:
        served.update(served_pipelines(MODEL_KINDS[other]))
    return served


def kind_with_head(head: str) -> ModelKind:
    """The kind that training calls by this name."""
    return next(kind for kind in MODEL_KINDS.values() if kind.head == head)
