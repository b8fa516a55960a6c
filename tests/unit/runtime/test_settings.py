"""Settings fail at start, naming the variable and never its value."""

from __future__ import annotations

import pytest
from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings
from runtime.settings import ProcessSettings, load


class ExampleSettings(ProcessSettings):
    """For the test."""

    model_config = SettingsConfigDict(env_prefix="MKC_EXAMPLE_")
    health_port: int = 1
    batch_rows: int


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKC_EXAMPLE_BATCH_ROWS", "5")
    assert load(ExampleSettings).batch_rows == 5
    monkeypatch.setenv("MKC_EXAMPLE_BATCH_ROW", "5")
    with pytest.raises(InvalidSettings, match="MKC_EXAMPLE_BATCH_ROW: no such setting"):
        load(ExampleSettings)


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKC_EXAMPLE_BATCH_ROWS", raising=False)
    with pytest.raises(InvalidSettings, match="MKC_EXAMPLE_BATCH_ROWS: is missing"):
        load(ExampleSettings)


def test_a_value_that_cannot_be_used_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKC_EXAMPLE_BATCH_ROWS", "hunter2")
    with pytest.raises(InvalidSettings, match="MKC_EXAMPLE_BATCH_ROWS: cannot be used") as caught:
        load(ExampleSettings)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
