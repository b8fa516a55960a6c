"""The settings page is the one that the classes make, and explains every setting."""

from deploy.local.settings_reference import READERS, TARGET, document
from runtime.settings import ProcessSettings


def subclasses(of: type[ProcessSettings]) -> set[type[ProcessSettings]]:
    return {
        found
        for one in of.__subclasses__()
        for found in (one, *subclasses(one))
        if not one.__module__.startswith("tests")
    }


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text() == document(), "stale: make docs"


def test_every_setting_has_a_meaning() -> None:
    assert [
        line for line in document().splitlines() if line.startswith("| `MKC_") and line.endswith("|  |")
    ] == []


def test_every_class_of_settings_is_on_the_page() -> None:
    declared = {
        one
        for one in subclasses(ProcessSettings)
        if one.__module__.partition(".")[0] in ("ingest", "router", "store")
        and one.model_config.get("env_prefix")
    }
    assert declared <= set(READERS)
