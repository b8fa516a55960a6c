"""`mkc quarantine` opens each zone with that zone's own credentials."""

import pytest

from runtime.mkc import COMMANDS


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["list"], "router.cli_quarantine"),
        (["list", "--zone", "raw"], "router.cli_quarantine"),
        (["list", "--zone", "tenant"], "store.lanes.cli_quarantine"),
        (["--zone=tenant", "list"], "store.lanes.cli_quarantine"),
        (["list", "--zone"], "router.cli_quarantine"),
    ],
)
def test_a_zone_is_served_by_the_folder_that_may_open_it(arguments: list[str], module: str) -> None:
    assert COMMANDS["quarantine"].module_for(arguments) == module
