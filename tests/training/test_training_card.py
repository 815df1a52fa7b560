"""The model card: what is handed on from model to model, and what is not told of the machine."""

import json

import pytest
from huggingface_hub import ModelCard

from training import card, config, dataset, export, provenance

ALPHA = ["base=bigcode/starcoderbase"]
NEW = ["layers=0", "width=0", "heads=0", "vocab=0"]


def exported(folder, keys, licences):
    """A finished model's folder as `export.describe` leaves it."""
    model = folder / export.MODEL
    model.mkdir(parents=True)
    recipe = config.load("tiny", [*NEW, *keys, f"name={folder.name}"])
    export.describe(folder, (f"data: {folder.name}.jsonl",), licences, recipe)
    return model, (model / "README.md").read_text(encoding="utf-8")


def test_licence_and_restrictions_survive_a_chain_of_fine_tunes(tmp_path):
    first, page = exported(tmp_path / "first", ALPHA, {"MIT": 3})
    assert "license: bigcode-openrail-m\n" in page and "use restrictions (attachment A" in page
    (first / "LICENSE.txt").write_text("the whole text")
    second, page = exported(tmp_path / "second", [f"base={first}"], {"CC-BY-SA-4.0": 2})
    third, page = exported(tmp_path / "third", [f"base={second}"], {"Apache-2.0": 1})
    data = ModelCard(page).data
    assert data.license == "bigcode-openrail-m" and data.base_model == "bigcode/starcoderbase"
    assert "Base model: second. Its licence, bigcode-openrail-m, applies" in page and "use restrictions (attachment A" in page
    for line in ("- MIT: 3", "- CC-BY-SA-4.0: 2", "- Apache-2.0: 1", "Base model: bigcode/starcoderbase."):
        assert line in page
    assert (third / "LICENSE.txt").read_text() == "the whole text"
    assert str(tmp_path) not in page


def test_a_foreign_card_hands_on_its_licence_and_what_it_says_of_it(tmp_path):
    base = tmp_path / "own-base"
    base.mkdir()
    head = "---\nlicense: other\nlicense_name: home-made\nlicense_link: https://example.org/licence\nbase_model:\n- a/b\n---\n"
    (base / "README.md").write_text(f"{head}# A model\n\n## Licensing information\n\nOnly on Sundays.\n\n## Use\n\nNever.\n")
    _, page = exported(tmp_path / "run", [f"base={base}"], {})
    data = ModelCard(page).data
    assert (data.license, data.license_name, data.license_link) == ("other", "home-made", "https://example.org/licence")
    assert "Base model: A model. Its licence, home-made, applies" in page and data.base_model == "a/b"
    assert "from scratch" not in page  # as the sentence of the recipe says, which was made for no base
    assert "### Of A model\n\nOnly on Sundays.\n" in page and "Never." not in page


def test_several_licences_are_all_handed_on(tmp_path):
    base = tmp_path / "two"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense:\n- mit\n- bigcode-openrail-m\n---\n# Two\n")
    _, page = exported(tmp_path / "run", [f"base={base}"], {})
    data = ModelCard(page).data
    assert (data.license, data.license_name) == ("other", "mit, bigcode-openrail-m") and "(attachment A" in page
    assert provenance.licence_of_data(str(base)) == "mit, bigcode-openrail-m"


@pytest.mark.parametrize("licence", ["mit\nevil: 1", "no: yes # x", "{}"])
def test_a_licence_with_signs_of_yaml_stays_one_value(tmp_path, licence):
    base = tmp_path / "odd"
    base.mkdir()
    (base / "README.md").write_text(f"---\nlicense: {json.dumps(licence)}\n---\n## License\n\nAsk us.\n")
    _, page = exported(tmp_path / "run", [f"base={base}"], {})
    assert ModelCard(page).data.to_dict()["license"] == " ".join(licence.split())


def test_a_card_that_says_more_than_a_name_is_pointed_to(tmp_path):
    base = tmp_path / "wordy"
    base.mkdir()
    (base / "README.md").write_text("# Wordy\n\n## License\n\nAsk us.\n")
    _, page = exported(tmp_path / "run", [f"base={base}"], {})
    assert "Its licence applies to this model too; what its card says of it stands below." in page and "Ask us." in page


def test_a_long_section_says_that_it_is_cut(tmp_path):
    _, page = exported(tmp_path / "first", ALPHA, {f"L{number}": 1 for number in range(60)})
    _, page = exported(tmp_path / "second", [f"base={tmp_path / 'first' / export.MODEL}"], {})
    assert "- L37: 1" in page and "- L38: 1" not in page and "(22 more lines are left out here.)" in page


@pytest.mark.parametrize(
    "said", [None, "", "no metadata", "---\n: : [\n---\n", "---\nlicense: []\nbase_model: /home/me/model\n---\n"]
)
def test_a_base_that_states_no_licence_is_said_to_state_none(tmp_path, said):
    base = tmp_path / "bare"
    base.mkdir()
    if said is not None:
        (base / "README.md").write_text(said)
    _, page = exported(tmp_path / "run", [f"base={base}"], {})
    assert "Base model: bare. Its licence applies to this model too; it was not found beside its weights." in page
    assert "license: other" in page and "base_model" not in page and str(tmp_path) not in page


def test_a_model_from_scratch_has_no_base(tmp_path):
    recipe = config.load("tiny")
    page = card.text(recipe, (), {"MIT\n---\nevil: yes": 1}, provenance.base_of(recipe))
    assert "none, trained from scratch" in page and "- MIT --- evil: yes: 1" in page


def test_notes_name_the_data_without_the_paths_of_the_machine(tmp_path, monkeypatch):
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "```b```"}]}\n'
    plain = row.replace("```b```", "b")
    (tmp_path / "dialogues").mkdir()
    (tmp_path / "dialogues" / "train.jsonl").write_text(row + plain)
    (tmp_path / "rows.jsonl").write_text(row + plain)
    monkeypatch.setenv("STARCHAT_DATA", str(tmp_path))
    recipe = config.load("tiny", [f"data={tmp_path / 'rows.jsonl'},{tmp_path / 'dialogues'},dialogues,made", "code_only=true"])
    notes = dataset.load(recipe).notes
    assert notes[0] == "data: rows.jsonl, dialogues, dialogues, dialogues made by the recipe itself"
    assert "rows.jsonl (train): 1 of 2 dialogues left out" in notes[1] and str(tmp_path) not in "".join(notes)
