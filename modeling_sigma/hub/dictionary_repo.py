"""Sign dictionaries on the Hub: two files and a card, in one commit, private first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, ModelCard, ModelCardData, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

import modeling_sigma
from modeling_sigma.hub.bundle_checks import is_hub_name
from modeling_sigma.hub.licenses import LICENSES, choose_license
from modeling_sigma.hub.public_contents import secret_problems
from modeling_sigma.hub.sending import HubSender, full_name
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import one_line


_CARD = "README.md"
_TEMPLATE = Path(__file__).with_name("dictionary_card_template.md")
_NUM_SHOWN_LABELS = 30
_VECTORS = "*.safetensors"


def download_dictionary(repo_id: str, key_file: str, *, revision: str | None, token: str | bool | None) -> Path:
    """The folder of a dictionary that is on the Hub, or in its cache.

    Raises:
        ValueError: if it is not there, or the Hub does not answer.
    """
    try:
        patterns = [key_file, _VECTORS]
        return Path(snapshot_download(repo_id, revision=revision, token=token, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ValueError(
            f"{repo_id}: expected a dictionary, found no such folder, and the Hub did not return it "
            f"({one_line(error)}): check the name"
        ) from error


def push_dictionary(
    folder: Path,
    key_file: str,
    repo_id: str,
    model: str,
    *,
    license: str | None,
    private: bool,
    message: str,
    token: str | bool | None,
) -> str:
    """Sends the files of a dictionary, and returns the address of the repository.

    Raises:
        ValueError: for a model that others do not find, a secret among the facts, a license that is missing or
            unknown, and if the Hub refuses.
    """
    if not is_hub_name(model):
        raise ValueError(
            f"expected a dictionary whose model is on the Hub, where others find it, received {model!r}: publish the "
            "model, then name it, SignDictionary.from_pretrained(folder, model='ORG/NAME')"
        )
    if license is not None or not private:
        license = choose_license(None, None, license)
    content = (folder / key_file).read_bytes()
    problems = list(secret_problems(key_file, content))
    if problems:
        raise ValueError(f"the dictionary cannot be published: {'; '.join(problems)}")
    api = HfApi(token=token)
    repo_id = full_name(api, repo_id)
    facts = read_json(folder / key_file, "a dictionary", dict)
    contents = {key_file: content, _CARD: str(dictionary_card(facts, repo_id, license)).encode()}
    weights = {path.name: path for path in folder.glob(_VECTORS)}
    sender = HubSender(api, repo_id)
    sender.make_repo(exist_ok=True)
    sender.commit(contents, weights, branch="main", message=message, replaced=(_VECTORS,))
    if not private:
        sender.open_to_everybody()
    return f"{api.endpoint}/{repo_id}"


def dictionary_card(facts: dict[str, Any], repo_id: str, license: str | None) -> ModelCard:
    """The card: what is in the dictionary, which model reads it, and what to do when a signer withdraws."""
    labels = list(dict.fromkeys(facts["label"]))
    languages = Counter(language for language in facts["sign_language"] if language)
    return ModelCard.from_template(
        ModelCardData(
            license=license, library_name="sigma-slu", base_model=facts["model"],
            tags=["sigma-slu", "sign-language", "sign-dictionary"],
        ),
        template_path=str(_TEMPLATE),
        name=repo_id.split("/")[-1],
        repo_id=repo_id,
        model=facts["model"],
        labels=labels,
        num_shown=_NUM_SHOWN_LABELS,
        num_clips=len(facts["label"]),
        languages=[f"{language} ({count} clips)" for language, count in sorted(languages.items())],
        license_words=None if license is None else LICENSES[license],
        version=modeling_sigma.__version__,
    )  # fmt: skip
