"""`pipeline("sign-text-retrieval")`: ranks texts for a clip, or clips for a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .modeling_sigma import given
from .pipeline_arguments_sigma import CLIP_ARGUMENTS, check_arguments, only_clip_arguments
from .pipeline_base_sigma import SigmaPipeline
from .text_inputs_sigma import check_text


_TEXTS_AT_A_TIME = 128


class SignTextRetrievalPipeline(SigmaPipeline):
    """`pipeline("sign-text-retrieval")`: which of these texts belongs to a clip, which of these clips to a text?

    Clips are file paths (with the sigma-slu package installed), [`PoseClip`]s, arrays `(T, K, 3)` or `(T, K, 2)`, and
    dicts of keypoints and scores; inputs can be lists and generators, batched with `batch_size`.

    Call arguments, one of:

    - `texts` (list of `str`): inputs are clips; the texts are ranked for each. For the same texts in later calls, pass
      their vectors as `embeddings`.
    - `clips` (list of clips): inputs are texts; the clips are ranked for each.
    - `embeddings` (`torch.Tensor` or `np.ndarray` of shape `(N, hidden_size)`): unit vectors of an earlier call,
      ranked for each input.
    - none of them: the vector of each input.

    Further: `inputs_are` (`"clips"` or `"texts"`; needed where inputs are texts and `clips` is not given), `top_k`
    (all by default), `language` (of the prompt), `max_frames`, `allow_unseen`, `coordinates` and
    `aspect_ratio`.

    Returns:
        For each input a list of `{"index": int, "score": float}`, best first, with `"text"` where `texts` were given;
        scores are cosines. Without candidates a `torch.Tensor` of shape `(hidden_size,)` and length 1.
    """

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        texts: Sequence[str] | None = None,
        clips: Sequence[Any] | None = None,
        embeddings: Any = None,
        inputs_are: str | None = None,
        **kwargs: Any,
    ) -> Any:
        check_arguments({"texts": texts, "inputs_are": inputs_are})
        given = [
            name
            for name, value in (("texts", texts), ("clips", clips), ("embeddings", embeddings))
            if value is not None
        ]
        if len(given) > 1:
            raise ValueError(f"expected one of texts, clips and embeddings, received {' and '.join(given)}")
        kind = {"texts": "clips", "clips": "texts"}.get(given[0] if given else "", inputs_are or "clips")
        if inputs_are not in (None, kind):
            raise ValueError(
                f"expected inputs_are='{kind}' to rank {given[0] if given else 'them'}, received {inputs_are!r}"
            )
        options = {name: kwargs[name] for name in (*CLIP_ARGUMENTS, "batch_size") if name in kwargs}
        if texts is not None or clips is not None:
            candidates = _as_list(texts, "texts") if texts is not None else _as_list(clips, "clips")
            other = "texts" if texts is not None else "clips"
            if other == "texts":
                embeddings = self._embed_texts(candidates)
            else:
                embeddings = torch.stack(super().__call__(candidates, inputs_are=other, **options))
        elif embeddings is not None:
            try:
                embeddings = torch.as_tensor(embeddings, dtype=torch.float32)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"expected embeddings as an array of numbers, received {embeddings!r:.80}") from error
            width = self.model.config.hidden_size
            if embeddings.ndim != 2 or embeddings.shape[1] != width:
                raise ValueError(f"expected embeddings of shape (N, {width}), received {tuple(embeddings.shape)}")
        names = None if texts is None else list(texts)
        return super().__call__(inputs, *args, inputs_are=kind, embeddings=embeddings, names=names, **kwargs)

    @torch.no_grad()
    def _embed_texts(self, texts: list[str]) -> torch.Tensor:
        """The vectors of many texts, `(N, hidden_size)`: texts of about one length go together."""
        empty = next((text for text in texts if not text.strip()), None)
        if empty is not None:
            raise ValueError(f"expected texts with words in them, received {empty!r}")
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        vectors = torch.empty(len(texts), self.model.config.hidden_size)
        for start in range(0, len(order), _TEXTS_AT_A_TIME):
            rows = order[start : start + _TEXTS_AT_A_TIME]
            features = self.processor(text=[texts[row] for row in rows], return_tensors="pt")
            tokens = {name: features[name].to(self.device) for name in ("text_input_ids", "text_attention_mask")}
            vectors[rows] = self.model.get_text_features(**tokens).pooler_output.float().cpu()
        return vectors

    def _sanitize_parameters(
        self,
        inputs_are: str | None = None,
        embeddings: torch.Tensor | None = None,
        names: list[str] | None = None,
        top_k: int | None = None,
        **options: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if inputs_are not in (None, "clips", "texts"):
            raise ValueError(f"expected inputs_are 'clips' or 'texts', received {inputs_are!r}")
        preprocess = {"inputs_are": inputs_are, **only_clip_arguments(options)}
        postprocess = {"embeddings": embeddings, "names": names, "top_k": top_k}
        return given(preprocess), {}, given(postprocess)

    def preprocess(self, inputs: Any, inputs_are: str = "clips", **options: Any) -> dict[str, Any]:
        if inputs_are == "texts":
            if not check_text(inputs, "a text").strip():
                raise ValueError(f"expected a text, received {inputs!r:.80}")
            features = self.processor(text=inputs, return_tensors="pt")
            return {name: features[name] for name in ("text_input_ids", "text_attention_mask")}
        return super().preprocess(inputs, **options)

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        if "text_input_ids" in model_inputs:
            return {"vectors": self.model.get_text_features(**model_inputs).pooler_output}
        return {"vectors": self.model.get_pose_features(**model_inputs).pooler_output}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        embeddings: torch.Tensor | None = None,
        names: list[str] | None = None,
        top_k: int | None = None,
    ) -> Any:
        vector = model_outputs["vectors"].float().reshape(-1)
        self._check_numbers(vector)
        if embeddings is None:
            return vector
        scores = embeddings.to(vector.device) @ vector
        best = scores.topk(min(top_k or len(scores), len(scores)))
        results = []
        for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            entry = {"index": index, "score": score}
            results.append(entry if names is None else {"text": names[index], **entry})
        return results


def _as_list(candidates: Any, name: str) -> list[Any]:
    if isinstance(candidates, (str, Mapping)) or not hasattr(candidates, "__len__") or not len(candidates):
        raise ValueError(f"expected {name} as a list with at least one entry, received {candidates!r:.80}")
    return list(candidates)
