"""The status page in a real browser whose scripts are off: readable, named for screen readers, nothing blocked, a picture."""

from pathlib import Path

import pytest

from store.desk.words import BY_LANGUAGE, Language
from tests.privacy.desk.conftest import Desk
from tests.privacy.desk.test_status_page import LONG_AGO, request_row
from tests.support.chromium import browser, needs_chromium

pytestmark = [pytest.mark.postgres, needs_chromium]
PICTURES = Path(__file__).parents[3] / "build" / "status-page"
PNG = b"\x89PNG\r\n\x1a\n"


async def test_people_see_and_hear_how_their_request_stands(desk: Desk, tmp_path: Path) -> None:
    processing = request_row(desk, "received")
    refused = request_row(desk, "refused", LONG_AGO, known=True, reason="legal_hold")
    cases: list[tuple[Language, str, str]] = [("pt-BR", "processing", processing), ("en", "refused", refused)]
    async with browser(tmp_path) as tab:
        await tab.call(
            "Emulation.setDeviceMetricsOverride", width=390, height=1000, deviceScaleFactor=1, mobile=True
        )
        sizes = set()
        for language, stage, code in cases:
            words = BY_LANGUAGE[language]
            await tab.open(f"http://127.0.0.1:{desk.port}/erasure/{code}?lang={language}")
            roles = await tab.roles()
            # 1. Landmarks, one heading of the first level, and every text that matters, as a screen reader gets them.
            named = [role for role, _ in roles]
            for landmark in ("banner", "navigation", "main", "contentinfo"):
                assert named.count(landmark) == 1, landmark
            assert ("heading", words.title) in roles
            heard = " ".join(name for _, name in roles)
            assert words.stages[stage] in heard
            assert (words.reasons["legal_hold"] in heard) == (stage == "refused")
            assert ("navigation", words.language_label) in roles
            # 2. Nothing runs off a small telephone's side.
            metrics = await tab.call("Page.getLayoutMetrics")
            assert metrics["cssContentSize"]["width"] <= 390
            # 3. It is seen: a picture of more than one colour.
            image = await tab.screenshot(PICTURES / f"{stage}-{language}.png")
            assert image.startswith(PNG)
            sizes.add(len(image))
        assert min(sizes) > 15_000
        # 4. The page's own policy blocks nothing of the page: its style is applied, and it asks for nothing else.
        assert [one for one in tab.complaints if "favicon" not in one] == []
