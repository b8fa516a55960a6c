"""A number of records below one is a usage error of every command that takes one."""

import argparse
import importlib

import pytest

from runtime.arguments import count


def test_a_count_is_a_number_from_one_on() -> None:
    assert [count(text) for text in ("1", "007", "2147483647")] == [1, 7, 2_147_483_647]
    for text in ("0", "-1", "", "x", "1.5", " 1", "²", "2147483648"):
        with pytest.raises(argparse.ArgumentTypeError):
            count(text)


@pytest.mark.parametrize("limit", ["-1", "0", "many"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("router.cli_quarantine", ["list"]),
        ("router.cli_quarantine", ["replay"]),
        ("store.lanes.cli_quarantine", ["list"]),
        ("store.lanes.cli_events", ["acme"]),
        ("store.lanes.cli_messages", ["acme", "--purpose", "ticket"]),
        ("store.erasure.operator.cli", ["status"]),
        ("store.erasure.operator.cli_receipt", ["sample", "acme", "sample.json"]),
    ],
)
def test_every_limit_below_one_is_a_usage_error_that_names_it(
    module: str, arguments: list[str], limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main([*arguments, "--limit", limit])
    assert ended.value.code == 2
    assert "argument --limit: not a number from 1 on" in capsys.readouterr().err
