"""The model card: facts are asked for, results carry signatures, the header is the Hub's, MODEL_CARD.md is current."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import ModelCard

from modeling_sigma import SigmaForSequenceClassification, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.hub.card_facts import (
    BLANK_FACTS,
    METRICS,
    CardFacts,
    Measurement,
    TrainingData,
    read_facts,
    read_measurements,
)
from modeling_sigma.hub.confidence_pictures import (
    CONFIDENCE_PICTURES,
    confidence_pictures_in,
    write_confidence_pictures,
)
from modeling_sigma.hub.model_card import (
    RESULTS_FILE,
    add_result,
    build_card,
    eval_result_files,
    num_parameters_of,
    write_results,
)
from modeling_sigma.hub.publish import plan_publication
from modeling_sigma.metrics import (
    confidence_scores,
    recognition_scores,
    retrieval_scores,
    translation_scores,
    word_error_rates,
)
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.training.recipes.demo_card import demo_facts, demo_measurements
from tests.factories import tiny_model, tiny_processor


@pytest.fixture
def facts() -> CardFacts:
    corpus = TrainingData(
        name="Village Signs",
        sign_language="a village sign language",
        signers="12 adults, all right-handed",
        amount="2 hours",
        license="CC-BY-NC-4.0",
        consent="written, for research",
        estimator="rtmlib balanced",
        layout="coco_wholebody_133",
        dataset_id="lab/village-signs",
    )
    return CardFacts(
        name="village-sigma",
        summary="Reads one village's signing.",
        tasks=["slt"],
        languages=["en"],
        training_data=[corpus],
        not_seen=["children", "left-handed signers"],
        deaf_involvement="The village's council chose the data.",
        training="`train.py`, one GPU, 3 hours",
        contact="lab@example.org",
        license="cc-by-nc-4.0",
    )


@pytest.fixture
def measurement() -> Measurement:
    return Measurement(
        task="slt",
        dataset="Village Signs",
        dataset_id="lab/village-signs",
        split="test",
        num_samples=50,
        scores={"bleu4": 12.345, "wer": 60.0},
        intervals={"bleu4": [10.0, 15.0]},
        baselines={"text only": {"bleu4": 1.5}},
        signature="task:slt|tok:13a",
        command="sigma-slu evaluate --task slt",
        note="Two signers are also in the training data.",
    )


def _header(card: ModelCard) -> dict[str, Any]:
    return yaml.safe_load(str(card).split("---")[1])


# --- what a card says


def test_header_is_the_hubs(facts: CardFacts, measurement: Measurement) -> None:
    header = _header(build_card(facts, [measurement]))
    assert header["license"] == "cc-by-nc-4.0" and header["language"] == ["en"]
    assert header["library_name"] == "transformers" and header["datasets"] == ["lab/village-signs"]
    (model,) = header["model-index"]
    (result,) = model["results"]
    assert model["name"] == "village-sigma"
    assert result["task"]["type"] == "sign-language-translation"
    assert result["dataset"] == {"name": "Village Signs", "type": "lab/village-signs", "split": "test"}
    expected = {"signature": "task:slt|tok:13a", "num_samples": 50}
    assert result["metrics"][0] == {"type": "bleu", "value": 12.35, "name": "BLEU-4", "args": expected}
    assert [metric["type"] for metric in result["metrics"]] == ["bleu", "wer"]


def test_results_are_the_hubs_files_too(facts: CardFacts, measurement: Measurement) -> None:
    """The main score alone, as the Hub's own reader reads it; nothing of a data set that is not on the Hub."""
    assert _header(build_card(facts, [measurement]))["pipeline_tag"] == "translation"
    at_home = replace(measurement, dataset="Ours", dataset_id=None)
    ((name, content),) = eval_result_files([measurement, at_home]).items()
    (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(content))
    assert name == ".eval_results/lab__village-signs.yaml"
    assert (entry.dataset_id, entry.task_id, entry.value) == ("lab/village-signs", "default", 12.35)
    assert entry.notes == "BLEU-4, test, 50 clips; task:slt|tok:13a"


def test_a_card_says_who_made_it_and_how_to_withdraw(facts: CardFacts) -> None:
    silent = str(build_card(facts))
    assert "they have not said who they are" in silent and "nobody has looked into it yet" in silent
    assert "the makers have not said how" in silent
    stated = {"positionality": "two hearing signers", "risk_assessment": "children", "withdrawal": "write to us"}
    card = str(build_card(replace(facts, **stated)))
    assert all(f": {words}\n" in card for words in stated.values())
    assert set(stated) | {"contact", "deaf_involvement"} <= set(BLANK_FACTS), "card --init asks for them"


def unpadded(text: str) -> str:
    """Tables without the spaces that align their columns."""
    return re.sub(r" +\|", " |", text)


def test_everything_stated_is_in_the_text(facts: CardFacts, measurement: Measurement) -> None:
    text = build_card(facts, [measurement], model_name="lab/village", num_parameters=1_234_567).text
    stated = [value for value in asdict(facts.training_data[0]).values() if value != "lab/village-signs"]
    stated += [facts.summary, *facts.not_seen, facts.deaf_involvement, facts.training, facts.contact]
    stated += ["1.2 million parameters", "50 clips", measurement.signature, measurement.command, measurement.note]
    assert [value for value in stated if value not in text] == []
    assert "| BLEU-4 | 12.3 | 10.0 to 15.0 | 1.5 |" in unpadded(text)
    assert "| word error rate (lower is better) | 60.0 % | - | - |" in unpadded(text)
    assert 'pipeline("sign-language-translation", model="lab/village", trust_remote_code=True)' in text
    assert "Attribution-NonCommercial" in text and "replacing interpreters" in text
    assert "{{" not in text and "None" not in text.replace("None is documented", "")


def test_without_results_the_card_says_so(facts: CardFacts) -> None:
    card = build_card(replace(facts, license=None))
    assert "Nothing has been measured yet. Do not rely on this model." in card.text
    assert "The license of these weights is not stated yet" in card.text
    assert not {"model-index", "license"} & set(_header(card))


def test_a_calibrated_model_says_how_sure_it_is(facts: CardFacts, tmp_path: Path) -> None:
    fitted = {"temperature": 1.234, "false_alarm_rate": 0.0497, "num_clips": 50, "fitted_on": "signs, validation"}
    facts = replace(facts, tasks=["islr"])
    pictures = {"risk_coverage.png": "risk and coverage"}
    text = build_card(facts, config={"calibration": fitted}, pictures=pictures).text
    for words in (
        "calibrated on 50 clips of signs, validation",
        "temperature is 1.23",
        "5.0 % of the clips",
        "(risk_coverage.png)",
    ):
        assert words in text
    assert "It answers with a sign also" not in text and "it misses many such clips" in text
    plain = build_card(facts).text
    assert "How sure it is" not in plain and "It answers with a sign also" in plain
    scores = confidence_scores([0.9, 0.2], [True, False])
    write_confidence_pictures(tmp_path, {"exact": scores})
    assert (
        set(confidence_pictures_in(tmp_path)) == {path.name for path in tmp_path.iterdir()} == set(CONFIDENCE_PICTURES)
    )
    assert confidence_pictures_in(None) == confidence_pictures_in(tmp_path / "none") == {}


def test_what_disturbs_a_model_is_a_table(facts: CardFacts) -> None:
    assert "recorded or detected otherwise" not in str(build_card(facts, []))
    changes = {"mirrored signer": "no difference", "1 % of the joints anywhere": "13 points less"}
    text = str(build_card(replace(facts, robustness=changes, robustness_note="On 99 clips."), []))
    rows = "| mirrored signer | no difference |\n| 1 % of the joints anywhere | 13 points less |\n"
    assert f"|---|---|\n{rows}\nOn 99 clips.\n\n" in text


def test_licenses_are_inherited(facts: CardFacts) -> None:
    config = {"weights_license": "cc-by-nc-4.0"}
    card = build_card(replace(facts, license=None), config=config)
    assert card.data.license == "cc-by-nc-4.0" and "binds them to cc-by-nc-4.0" in card.text
    with pytest.raises(ValueError, match="forbids commercial use"):
        build_card(replace(facts, license="mit"), config=config)


def test_the_lines_of_use_fit_the_model(facts: CardFacts) -> None:
    labels = {"architectures": ["SigmaForSequenceClassification"]}
    assert 'pipeline("isolated-sign-recognition"' in build_card(replace(facts, tasks=["islr"]), config=labels).text
    assert 'pipeline("sign-text-retrieval"' in build_card(replace(facts, tasks=["retrieval"])).text
    alone = build_card(replace(facts, tasks=["islr"]), config={**labels, "use_prompt": False}).text
    assert "extractor = AutoFeatureExtractor.from_pretrained" in alone and "(there is no tokenizer)" in alone
    assert "AutoFeatureExtractor" not in build_card(replace(facts, tasks=["islr"]), config=labels).text


def test_the_lines_of_use_for_a_folder_need_no_trust(facts: CardFacts, tmp_path: Path) -> None:
    config = {"architectures": ["SigmaForSequenceClassification"], "use_prompt": False}
    use = build_card(facts, model_name=str(tmp_path), config=config).text.split("```")[1]
    assert use.startswith("python\nimport modeling_sigma\n") and "trust_remote_code" not in use
    assert f'pipeline("isolated-sign-recognition", model="{tmp_path}")' in use
    assert f'AutoFeatureExtractor.from_pretrained("{tmp_path}")' in use
    glosses = build_card(facts, config={"architectures": ["SigmaForCTC"]}).text
    assert 'pipeline("continuous-sign-recognition", model="ORG/NAME", trust_remote_code=True)' in glosses
    assert "import modeling_sigma" not in glosses


def test_cards_of_the_first_version_are_read(facts: CardFacts, tmp_path: Path) -> None:
    stated = asdict(facts)
    for part in (stated, *stated["training_data"]):
        part["licence"] = part.pop("license")  # as version 0.1.0 spelt it
    (tmp_path / "card.json").write_text(json.dumps(stated))
    assert read_facts(tmp_path / "card.json") == facts
    assert build_card(replace(facts, license=None), config={"weights_licence": "mit"}).data.license == "mit"


def test_the_metrics_of_this_package_have_names() -> None:
    scores = (
        translation_scores(["a b"], ["a b"]) | word_error_rates(["a b"], ["a b"]) | recognition_scores(["a"], ["a"])
    )
    scores |= retrieval_scores([[1.0, 0.0], [0.0, 1.0]]) | confidence_scores([1.0], [True])
    scores |= segmentation_scores([[Span(0.0, 1.0)]], [[Span(0.0, 1.0)]], minutes=1.0)
    assert {"bleu1", "bleu4", "rouge_l", "chrf", "wer", "top1_per_instance", "top1_per_class"} <= set(scores)
    names = {name for name in METRICS if not name.startswith(("bleurt", "top5"))}
    assert names <= set(scores), sorted(names - set(scores))


# --- mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": " "}, "expected signature, received nothing: a score without it cannot be compared"),
        ({"command": ""}, "expected command, received nothing"),
        ({"task": "video"}, "expected task islr, cslr, slt, retrieval, segmentation, received 'video'"),
        ({"num_samples": 0}, "expected num_samples of at least 1"),
        ({"scores": {}}, "expected at least one score"),
        ({"scores": {"accuracy": 1.0}}, "received 'accuracy'"),
        ({"scores": {"bleu4": float("nan")}}, "expected a finite number for bleu4, received nan"),
        ({"baselines": {"text only": {"bleu4": "high"}}}, "expected a finite number for bleu4, received 'high'"),
        ({"colour": "red"}, "expected the fields .*, received colour"),
    ],
)
def test_results_are_checked(change: dict[str, Any], message: str, measurement: Measurement, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{**asdict(measurement), **change}]))
    with pytest.raises(ValueError, match=message):
        read_measurements(path)


def test_files_are_checked(measurement: Measurement, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for text, message in (
        ("[", "expected JSON"),
        ("{}", "as a list in JSON, received an object"),
        ("[3]", "expected result 0 as an object, received int"),
        ('[{"task": "slt"}]', "result 0 does not state dataset, split, num_samples, scores, signature, command"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_measurements(path)
    write_results(tmp_path, [measurement])
    assert read_measurements(tmp_path / "results.json") == [measurement]


def test_every_blank_fact_is_named(facts: CardFacts, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(dict(BLANK_FACTS)))
    with pytest.raises(ValueError, match=r"not stated: name, .*contact.*training_data\[0\]\.consent"):
        read_facts(path)
    path.write_text(json.dumps({**dict(BLANK_FACTS), "training_data": []}))
    with pytest.raises(ValueError, match="what has the model seen"):
        read_facts(path)
    path.write_text(json.dumps({**asdict(facts), "tasks": ["cooking"]}))
    with pytest.raises(ValueError, match=r"expected tasks among islr.*received \['cooking'\]"):
        read_facts(path)
    path.write_text(json.dumps(asdict(facts)))
    assert read_facts(path) == facts


# --- the command, and the project's own card


def test_card_command(facts: CardFacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model()
    folder = save_bundle(model, tiny_processor(), tmp_path / "model")
    assert main(["card", str(folder)]) == 1
    assert "--init" in capsys.readouterr().err
    assert main(["card", str(folder), "--init"]) == 0
    assert main(["card", str(folder)]) == 1
    assert "not stated: name" in capsys.readouterr().err
    (folder / "card.json").write_text(json.dumps(asdict(facts)))
    assert main(["card", str(folder), "--name", "lab/village"]) == 0
    assert "it says that nothing has been measured" in capsys.readouterr().out
    assert plan_publication(folder, "lab/village").license == "cc-by-nc-4.0"
    text = (folder / "README.md").read_text()
    assert 'model="lab/village"' in text and "thousand parameters" in text
    assert main(["card", str(folder)]) == 1
    assert "already exists: --force replaces it" in capsys.readouterr().err
    assert num_parameters_of(folder) == sum(tensor.numel() for tensor in model.state_dict().values())
    assert main(["card", "--init"]) == 1 and main(["card", str(tmp_path / "nowhere")]) == 1


def test_label_heads_can_have_cards(facts: CardFacts, tmp_path: Path) -> None:
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3)
    save_bundle(model, tiny_processor().feature_extractor, tmp_path)
    (tmp_path / "card.json").write_text(json.dumps(asdict(replace(facts, tasks=["islr"]))))
    assert main(["card", str(tmp_path)]) == 0
    assert 'pipeline("isolated-sign-recognition"' in (tmp_path / "README.md").read_text()


def test_card_of_the_demo() -> None:
    figures = {
        "bleu4": 78.34, "bleu4_text_only_prior": 2.7, "isolated_accuracy": 0.94, "isolated_text_only_prior": 0.02,
        "num_test_clips": 200.0,
    }  # fmt: skip
    card = str(build_card(demo_facts("trained somehow"), demo_measurements(figures, "sigma-slu demo --seed 0")))
    assert "| BLEU-4 | 78.3 | 2.7 |" in unpadded(card) and "| top-1, per instance | 94.0 % | 2.0 % |" in unpadded(card)
    assert "nobody's signing is in it" in card and "trained somehow" in card


@pytest.mark.slow
def test_the_demo_can_be_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sigma-slu"
    assert main(["demo", "--steps", "2", "--out", str(folder), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    measured = read_measurements(folder / "results.json")[0].scores["bleu4"]
    assert measured == round(results["bleu4"], 1)
    assert main(["publish", str(folder), "lab/sigma-slu", "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["license"] == "apache-2.0" and report["left_out"] == ["unseen_clip.npz", "unseen_clip.png"]
    assert {"card.json", "results.json", "README.md"} <= set(report["files"])


def test_results_that_are_added_at_once_are_all_there(measurement: Measurement, tmp_path: Path) -> None:
    splits = [f"test-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda split: add_result(tmp_path, replace(measurement, split=split)), splits))
    assert sorted(one.split for one in read_measurements(tmp_path / RESULTS_FILE)) == sorted(splits)
