"""The routes of the service: predict, embed, search, health, metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from modeling_sigma import __version__
from modeling_sigma.io.reading_errors import MissingExtraError, one_line
from modeling_sigma.serving.batching import Batcher
from modeling_sigma.serving.gate import Gate
from modeling_sigma.serving.measurements import Measurements
from modeling_sigma.serving.request_limits import check_texts
from modeling_sigma.serving.served_model import ServedModel
from modeling_sigma.serving.settings import ServiceSettings
from modeling_sigma.serving.uploads import UploadReader, upload_name


try:
    from fastapi import FastAPI, File, Form, HTTPException, UploadFile
    from fastapi.responses import JSONResponse, PlainTextResponse
except ImportError as error:
    raise MissingExtraError(
        'the service needs its own extra: pip install -e ".[serve]" in the folder of sigma-slu'
    ) from error


MAX_FILES, MAX_PREDICTIONS, MAX_FOUND = 16, 20, 100
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Files = Annotated[list[UploadFile], File(description="Files of keypoints, in any format that load_clip reads.")]
Language = Annotated[str, Form(max_length=100, description="The spoken language to write.")]
Person = Annotated[int, Form(ge=0, description="The index of the person to read; 0 is the signer.")]

logger = logging.getLogger(__name__)


@dataclass
class FilePredictions:
    """What `sigma-slu predict --json` prints for one file: predictions, best first, or an error."""

    file: str
    predictions: list[dict[str, Any]] | None = None
    unknown: bool | None = None
    reason: str | None = None
    error: str | None = None


@dataclass
class FileVector:
    """The unit vector of one file, or an error."""

    file: str
    vector: list[float] | None = None
    error: str | None = None


def make_app(settings: ServiceSettings, folder: Path) -> FastAPI:
    """Loads the model and makes the service; nothing of what clients send stays in `folder`.

    Raises:
        ValueError, OSError: for a model or an index that cannot be loaded.
    """
    model = ServedModel(settings.model, settings.index, settings.device)
    measurements = Measurements()
    service = _Service(settings, measurements)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.open(folder)
        yield
        service.close()

    # The pages that show the API would load scripts from elsewhere: /openapi.json alone.
    app = FastAPI(title="sigma-slu", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.get("/health")
    async def health() -> JSONResponse:
        """Whether requests are answered, and what can be asked."""
        able = {"predict": model.predicts, "embed": True, "search": model.searches}
        facts = {"model": model.name, "task": model.task, "answers": [name for name in able if able[name]]}
        is_well = service.batcher.is_alive()
        return JSONResponse({"status": "ok" if is_well else "stopped", **facts}, 200 if is_well else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counters in the text format of Prometheus."""
        return PlainTextResponse(await asyncio.to_thread(measurements.text), media_type=_METRICS_TYPE)

    if model.predicts:

        @app.post("/predict", response_model=list[FilePredictions])
        async def predict(
            files: Files,
            top_k: Annotated[int, Form(ge=1, le=MAX_PREDICTIONS, description="Results per clip, best first.")] = 1,
            language: Language = "English",
            labels: Annotated[list[str] | None, Form(description="Labels to choose among.")] = None,
            person: Person = 0,
        ) -> JSONResponse:
            """Translates clips, or recognises their signs: the JSON of `sigma-slu predict --json`."""
            if labels and not model.chooses:
                raise HTTPException(422, "expected no labels: this model does not choose among labels")
            run = partial(model.predict, top_k=top_k, language=language, labels=labels)
            key = ("predict", top_k, language, tuple(labels or ()))

            async def answer(file: UploadFile) -> dict[str, Any]:
                check_texts(labels or ())
                clip = await service.read(file, person)
                check_texts(labels or (), clip)
                return await service.batcher.ask(key, run, clip)

            return await service.answer_each(files, answer)

    @app.post("/embed", response_model=list[FileVector])
    async def embed(files: Files, language: Language = "English", person: Person = 0) -> JSONResponse:
        """The unit vector of each clip; vectors of two models cannot be compared."""
        run, key = partial(model.embed, language=language), ("embed", language)

        async def answer(file: UploadFile) -> dict[str, Any]:
            return {"vector": await service.batcher.ask(key, run, await service.read(file, person))}

        return await service.answer_each(files, answer)

    if model.searches:

        @app.post("/search", response_model=list[dict[str, Any]])
        async def search(
            text: Annotated[str | None, Form(description="The text to search for.")] = None,
            file: Annotated[UploadFile | None, File(description="The clip to search for instead.")] = None,
            top_k: Annotated[int, Form(ge=1, le=MAX_FOUND, description="Results, best first.")] = 10,
            person: Person = 0,
        ) -> JSONResponse:
            """Searches the index: the JSON of `sigma-slu search --json`."""
            if (text is None) == (file is None):
                raise HTTPException(422, "expected either a text or a file")
            try:
                async with service.limited_time():
                    check_texts([text or ""])
                    query = text if file is None else await service.read(file, person)
                    key = ("search", top_k, file is None)
                    return JSONResponse(await service.batcher.ask(key, partial(model.search, top_k=top_k), query))
            except ValueError as error:
                raise HTTPException(422, one_line(error)) from error

    routes = {route.path for route in app.routes if hasattr(route, "path")}
    app.add_middleware(Gate, settings=settings, measurements=measurements, routes=routes)
    return app


class _Service:
    """What routes share: the reader of uploads, the batches, and the time that a request may take."""

    batcher: Batcher
    _reader: UploadReader

    def __init__(self, settings: ServiceSettings, measurements: Measurements) -> None:
        self._settings, self._measurements = settings, measurements

    def open(self, folder: Path) -> None:
        self.batcher = Batcher(self._settings.max_batch, self._measurements.batches.observe)
        self._reader = UploadReader(folder, self._settings.max_frames, self._measurements.dead_readers.inc)

    def close(self) -> None:
        self._reader.close()
        self.batcher.close()

    async def read(self, file: UploadFile, person: int) -> Any:
        with self.batcher.coming():
            return await self._reader.read(file.file, upload_name(file.filename), person)

    async def answer_each(
        self, files: list[UploadFile], answer: Callable[[UploadFile], Awaitable[dict[str, Any]]]
    ) -> JSONResponse:
        """One entry per file; the status is that of an error only where every file gave one."""
        if len(files) > MAX_FILES:
            raise HTTPException(
                422, f"expected at most {MAX_FILES} files, received {len(files)}: send several requests"
            )

        async def entry(file: UploadFile) -> dict[str, Any]:
            name = upload_name(file.filename)
            try:
                return {"file": name, **await answer(file)}
            except ValueError as error:
                said = one_line(error)
                return {"file": name, "error": said if said.startswith(name) else f"{name}: {said}"}

        async with self.limited_time():
            entries = await asyncio.gather(*map(entry, files))
        return JSONResponse(entries, 422 if all("error" in one for one in entries) else 200)

    @asynccontextmanager
    async def limited_time(self) -> AsyncIterator[None]:
        """Ends what takes too long."""
        try:
            async with asyncio.timeout(self._settings.max_seconds):
                yield
        except TimeoutError as error:
            logger.warning("a request took longer than %d seconds", self._settings.max_seconds)
            raise HTTPException(
                503, f"this took longer than {self._settings.max_seconds} seconds", {"Retry-After": "5"}
            ) from error
