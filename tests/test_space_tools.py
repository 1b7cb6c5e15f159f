"""The web demo as an MCP server: it lists its tools, and a client gets an answer through one."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.io import save_clip
from tests.factories import random_clip, tiny_model
from tests.space_server import space_server


pytestmark = pytest.mark.slow

LABELS = {0: "hello", 1: "rain", 2: "snow"}


def test_tools_are_listed_and_answer(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason='needs the web demo: pip install "sigma-slu[space]"')
    pytest.importorskip("mcp", reason='needs the web demo: pip install "sigma-slu[space]"')
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3, id2label=LABELS)
    save_bundle(model, SigmaFeatureExtractor(), tmp_path / "three-signs")
    save_clip(tmp_path / "clip.npz", random_clip(12))
    data = base64.b64encode((tmp_path / "clip.npz").read_bytes()).decode()
    with space_server({"three signs": tmp_path / "three-signs"}, tmp_path / "log.txt") as (url, _):
        tools, models, words, answer, refusal = asyncio.run(_use(url, f"data:application/octet-stream;base64,{data}"))
    assert len(tools) == 3, [tool.name for tool in tools]
    (recognize,) = [tool for tool in tools if tool.name.endswith("recognize_sign")]
    assert {"clip", "model", "texts", "prediction_set"} <= set(recognize.inputSchema["properties"])
    assert "replaces no interpreter" in recognize.description
    assert not any(tool.name.endswith("read") for tool in tools), "the page's own functions are no tools"
    assert "three signs" in models and "Which sign is this?" in models
    assert json.loads(words) == ["rain"]
    assert {one["label"] for one in json.loads(answer)["answers"]} == set(LABELS.values())
    assert "expected one of three signs" in refusal and str(tmp_path) not in refusal


async def _use(url: str, clip: str) -> tuple[Any, ...]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with (
        streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        tools = (await client.list_tools()).tools
        names = {name: next(tool.name for tool in tools if tool.name.endswith(name)) for name in
                 ("recognize_sign", "list_models", "known_words")}  # fmt: skip

        async def call(name: str, **arguments: Any) -> str:
            found = await client.call_tool(names[name], arguments)
            return "".join(getattr(part, "text", "") for part in found.content)

        return (
            tools,
            await call("list_models"),
            await call("known_words", contains="AI", model=""),
            await call("recognize_sign", clip=clip, model="three signs", texts="", prediction_set=0),
            await call("known_words", contains="", model="nothing"),
        )
