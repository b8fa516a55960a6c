"""The status page: two languages that say the same, readable by everybody, nothing of the visitor's, nothing that tells."""

import re
from dataclasses import fields, replace
from datetime import date
from html.parser import HTMLParser

import pytest

from contracts.outcomes import RefusalReason
from store.desk.page import HEADERS, STYLE, away_page, limited_page, status_page, unknown_page
from store.desk.requests import Standing
from store.desk.words import BY_LANGUAGE, ENGLISH, PORTUGUESE, Language, chosen

PROCESSING = Standing("processing", None, date(2026, 11, 20), date(2026, 12, 16), None, None)
COMPLETED = replace(
    PROCESSING, stage="completed", ended_on=date(2026, 11, 24), irrecoverable_on=date(2026, 12, 9)
)
REFUSED = replace(PROCESSING, stage="refused", reason="legal_hold", ended_on=date(2026, 11, 24))
LANGUAGES: tuple[Language, ...] = ("pt-BR", "en")


class Outline(HTMLParser):
    """Start tags in order with their attributes, and the text of each element."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._path: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self._path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._path.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._path[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("standing", [PROCESSING, COMPLETED, REFUSED])
def test_a_page_has_a_language_landmarks_and_one_heading_and_needs_no_script(
    standing: Standing, language: Language
) -> None:
    page = status_page(standing, language)
    outline = Outline(page.html)
    assert outline.all("html") == [{"lang": language}]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(outline.all(landmark)) == 1
    assert outline.all("nav")[0]["aria-label"]
    assert outline.texts["title"][0].startswith(BY_LANGUAGE[language].title)
    # Each section is named by a heading that is there; headings do not leave a level out.
    ids = {attributes.get("id") for _, attributes in outline.tags}
    sections = outline.all("section")
    assert sections
    assert all(section["aria-labelledby"] in ids for section in sections)
    assert not [tag for tag, _ in outline.tags if tag in ("script", "img", "iframe", "form", "link", "h3")]
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]
    assert "style" not in {name for _, attributes in outline.tags for name in attributes}
    # The languages can be chosen without a script, each named in itself.
    assert [(one["href"], one["lang"]) for one in outline.all("a")] == [
        ("?lang=pt-BR", "pt-BR"),
        ("?lang=en", "en"),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_stages_differ_in_words_and_not_only_in_how_they_look(language: Language) -> None:
    words = BY_LANGUAGE[language]
    for standing in (PROCESSING, COMPLETED, REFUSED):
        outline = Outline(status_page(standing, language).html)
        text = " ".join(part for parts in outline.texts.values() for part in parts)
        assert words.stages[standing.stage] in text
        assert words.explanations[standing.stage] in text
        steps = [part for part in outline.texts["li"] if "(" in part]
        assert len(steps) == 3
        # Where it is now, for a screen reader too; nowhere once it has ended.
        now = [one for one in outline.all("li") if one.get("aria-current") == "step"]
        assert len(now) == (1 if standing is PROCESSING else 0)
        assert all(any(f"({state})" in step for state in words.step_states) for step in steps)


def test_dates_are_said_in_words_and_for_machines() -> None:
    outline = Outline(status_page(COMPLETED, "pt-BR").html)
    assert [one["datetime"] for one in outline.all("time")] == [
        "2026-11-20",
        "2026-12-16",
        "2026-11-24",
        "2026-12-09",
    ]
    assert outline.texts["time"][0] == "20 de novembro de 2026"
    assert Outline(status_page(COMPLETED, "en").html).texts["time"][1] == "December 16, 2026"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", [*RefusalReason, None, "something_newer"])
def test_a_refusal_is_justified_in_words(reason: str | None, language: Language) -> None:
    words = BY_LANGUAGE[language]
    outline = Outline(status_page(replace(REFUSED, reason=reason), language).html)
    assert words.why in outline.texts["h2"]
    expected = words.reasons[reason] if reason in set(RefusalReason) else words.other_reason
    assert expected in outline.texts["p"]
    assert words.why not in Outline(status_page(PROCESSING, language).html).texts["h2"]


def test_both_languages_have_every_text() -> None:
    assert set(PORTUGUESE.reasons) == set(ENGLISH.reasons) == set(RefusalReason)
    assert set(PORTUGUESE.stages) == set(ENGLISH.stages) == set(PORTUGUESE.explanations)
    for one in fields(PORTUGUESE):
        here, there = getattr(PORTUGUESE, one.name), getattr(ENGLISH, one.name)
        assert here
        assert there
        assert here != there or one.name == "company"


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        (None, "", "pt-BR"),
        (None, "pt-PT,pt;q=0.9,en;q=0.8", "pt-BR"),
        (None, "en-US,en;q=0.9,pt;q=0.8", "en"),
        (None, "fr-FR,fr;q=0.9,en;q=0.2", "en"),
        (None, "pt;q=0.2, en;q=0.7", "en"),
        (None, "en;q=0, pt", "pt-BR"),
        (None, "*", "pt-BR"),
        (None, "en;q=canary,,;;q=,en-GB;q=0.1", "en"),
        (None, "de," * 100_000, "pt-BR"),
        ("en", "pt", "en"),
        ("pt-BR", "en", "pt-BR"),
        ("<script>", "en", "pt-BR"),
    ],
)
def test_the_language_is_the_visitors_choice(query: str | None, accepted: str, language: Language) -> None:
    assert chosen(query, accepted) == language


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_the_contrast_that_wcag_asks_for_in_light_and_in_dark() -> None:
    schemes = [
        dict(re.findall(r"--(\w+):(#[0-9a-f]{6})", part)) for part in re.findall(r":root\{([^}]*)\}", STYLE)
    ]
    assert len(schemes) == 2
    for scheme in schemes:
        for name in ("ink", "soft", "mark"):
            light, dark = sorted((luminance(scheme[name]), luminance(scheme["paper"])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 7.0, name  # WCAG 2.2, 1.4.6 (AAA)


def test_nothing_runs_is_framed_stored_or_found_by_search() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert HEADERS["Cache-Control"] == "no-store"
    assert "noindex" in HEADERS["X-Robots-Tag"]
    assert HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["X-Content-Type-Options"] == "nosniff"


def test_the_other_pages_have_a_status_and_say_what_to_do() -> None:
    for language in LANGUAGES:
        pages = [unknown_page(language), away_page(language), limited_page(language)]
        assert [page.status for page in pages] == [404, 503, 429]
        assert len({page.html for page in pages}) == 3
        for page in pages:
            assert len(Outline(page.html).all("h1")) == 1
