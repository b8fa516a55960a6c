"""The status page as HTML: no script, no picture, nothing from elsewhere. Pure.

Every page of a stage has the same shape. Must never contain anything that the visitor sent.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import Final

from store.desk.requests import Standing
from store.desk.words import BY_LANGUAGE, Language, Words

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f23;--paper:#ffffff;--soft:#4a5258;--line:#8a949b;--mark:#0b4f8a}
@media (prefers-color-scheme:dark){:root{--ink:#f1f3f4;--paper:#14181b;--soft:#c3cad0;--line:#7d878e;--mark:#8cc4ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:42rem;margin:0 auto;padding:1rem 1.25rem}
header{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.5rem;border-bottom:1px solid var(--line)}
header p,nav ul{margin:0}
nav ul{display:flex;gap:1rem;padding:0;list-style:none}
a{color:var(--mark)}
a:focus-visible{outline:3px solid var(--mark);outline-offset:3px}
[aria-current=true]{font-weight:700;text-decoration:none;color:var(--ink)}
h1{font-size:1.6rem;line-height:1.25;margin:1.5rem 0 1rem}
h2{font-size:1.15rem;margin:1.75rem 0 .5rem}
.stage{font-size:1.3rem;font-weight:700;margin:0 0 .5rem}
dl{margin:0;display:grid;grid-template-columns:minmax(0,1fr);gap:.15rem 1.5rem}
dt{color:var(--soft)}
dd{margin:0 0 .6rem;font-weight:600}
@media (min-width:32rem){dl{grid-template-columns:max-content minmax(0,1fr)}dd{margin-bottom:.15rem}}
ol{margin:0;padding-left:1.4rem}
li[aria-current=step]{font-weight:700}
footer{border-top:1px solid var(--line);margin-top:2rem;color:var(--soft);font-size:.95rem}
""".strip()
_STYLE_HASH: Final = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": "max-age=31536000",
    "Vary": "Accept-Language",
}
_NAMES: Final = {"pt-BR": "Português (Brasil)", "en": "English"}
_NOW: Final = {"processing": 1, "completed": 3, "refused": 3}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its status and its HTML."""

    status: int
    html: bytes


def status_page(standing: Standing, language: Language) -> Page:
    """How the request stands: status, steps, dates, and for a refusal its justification."""
    words = BY_LANGUAGE[language]
    dates = [(words.received, standing.received_on), (words.due, standing.due_on)]
    if standing.ended_on is not None:
        dates.append((words.ended, standing.ended_on))
    if standing.irrecoverable_on is not None:
        dates.append((words.irrecoverable, standing.irrecoverable_on))
    parts = [
        f"<h1>{escape(words.title)}</h1>",
        f'<section aria-labelledby="status"><h2 id="status">{escape(words.status)}</h2>',
        f'<p class="stage">{escape(words.stages[standing.stage])}</p>',
        f"<p>{escape(words.explanations[standing.stage])}</p></section>",
    ]
    if standing.stage == "refused":
        why = words.reasons.get(standing.reason or "", words.other_reason)
        parts.append(
            f'<section aria-labelledby="why"><h2 id="why">{escape(words.why)}</h2><p>{escape(why)}</p></section>'
        )
    parts.append(_steps(words, _NOW[standing.stage]))
    listed = "".join(
        f'<dt>{escape(label)}</dt><dd><time datetime="{day.isoformat()}">{escape(words.day(day))}</time></dd>'
        for label, day in dates
    )
    parts.append(
        f'<section aria-labelledby="dates"><h2 id="dates">{escape(words.dates)}</h2><dl>{listed}</dl></section>'
    )
    return Page(200, _document(words, language, words.title, "".join(parts)))


def unknown_page(language: Language) -> Page:
    """The one page for every code without a request, and for every other address."""
    words = BY_LANGUAGE[language]
    return Page(404, _plain(words, language, words.unknown_title, words.unknown))


def away_page(language: Language) -> Page:
    """The database does not answer."""
    words = BY_LANGUAGE[language]
    return Page(503, _plain(words, language, words.away_title, words.away))


def limited_page(language: Language) -> Page:
    """Too many from one address."""
    words = BY_LANGUAGE[language]
    return Page(429, _plain(words, language, words.limited_title, words.limited))


def _steps(words: Words, now: int) -> str:
    lines = []
    for number, step in enumerate(words.steps):
        state = words.step_states[0 if number < now else 1 if number == now else 2]
        current = ' aria-current="step"' if number == now else ""
        lines.append(f"<li{current}>{escape(step)} ({escape(state)})</li>")
    heading = f'<h2 id="steps">{escape(words.steps_heading)}</h2>'
    return f'<section aria-labelledby="steps">{heading}<ol>{"".join(lines)}</ol></section>'


def _plain(words: Words, language: Language, title: str, text: str) -> bytes:
    return _document(words, language, title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>")


def _document(words: Words, language: Language, title: str, main: str) -> bytes:
    marks: dict[str, str] = {language: ' aria-current="true"'}
    links = "".join(
        f'<li><a href="?lang={code}" hreflang="{code}" lang="{code}"{marks.get(code, "")}>{escape(name)}</a></li>'
        for code, name in _NAMES.items()
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)} · {escape(words.company)}</title><style>{STYLE}</style></head><body>"
        f"<header><p>{escape(words.company)}</p>"
        f'<nav aria-label="{escape(words.language_label)}"><ul>{links}</ul></nav></header>'
        f"<main>{main}</main><footer><p>{escape(words.footer)}</p></footer></body></html>"
    ).encode()
