"""Where settings come from, in which order, and how a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.errors import SettingsError
from assistant.settings import Settings, home, load, model_cache, private_folder


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STARCHAT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_nothing_given_means_the_defaults() -> None:
    assert load(environment={}) == Settings()


def test_flag_before_environment_before_file(own_home: Path) -> None:
    (own_home / "settings.toml").write_text('model = "file"\ndevice = "cpu"\nthreads = 3\n')
    environment = {"STARCHAT_MODEL": "environment", "STARCHAT_DEVICE": "cuda"}
    found = load({"model": "flag", "device": None}, environment)
    assert (found.model, found.device, found.threads) == ("flag", "cuda", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model = ", "not valid TOML"),
        ('colour = "red"', "unknown key 'colour'"),
        ('quantization = "4bit"', "bnb-8bit"),
        ("threads = 0", "at least 1"),
        ("threads = 1.5", "at least 1"),
        ("threads = true", "at least 1"),
        ("idle_minutes = -1", "at least 0"),
        ("idle_minutes = nan", "at least 0"),
        ("model = 7", "must be text"),
        ('device = "banana"', "cuda:1"),
        ('device = "cuda:"', "cuda:1"),
        ("device = 1", "cuda:1"),
        ('model = ""', "must be text"),
    ],
)
def test_each_mistake_in_the_file_is_named(own_home: Path, text: str, said: str) -> None:
    (own_home / "settings.toml").write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        load(environment={})
    assert "settings.toml" in caught.value.message


def test_a_file_that_is_not_text_is_named(own_home: Path) -> None:
    (own_home / "settings.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(environment={})


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="STARCHAT_QUANTIZATION"):
        load(environment={"STARCHAT_QUANTIZATION": "8"})


def test_the_home_moves_but_the_model_cache_does_not(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home() == own_home
    assert not model_cache().is_relative_to(own_home)
    monkeypatch.setenv("STARCHAT_CACHE", str(tmp_path / "cache"))
    assert model_cache() == tmp_path / "cache" / "models"


def test_private_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")
    assert folder.stat().st_mode & 0o777 == 0o700
