"""The list of all event types in docs/events.md: `python -m contracts.events.listing` writes it anew, a test holds it to this.

Must never say more than the declarations do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contracts.events.registry import EVENT_TYPES

BEGIN: Final = "<!-- types: written by python -m contracts.events.listing -->"
END: Final = "<!-- /types -->"
PAGE: Final = Path(__file__).parents[2] / "docs" / "events.md"


def listing() -> str:
    """One line a type, in the order of their names."""
    lines = [
        "| type | what happened | from Meta's | direction | opens |",
        "|---|---|---|---|---|",
    ]
    for name, kind in sorted(EVENT_TYPES.items()):
        cells = (
            f"`{name}`",
            kind.description,
            kind.source,
            ", ".join(kind.directions),
            "yes" if kind.opens_generation else "",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """The page with its list written anew. Raises ValueError if it has no place for it."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError("docs/events.md has lost the marks around the list of types")
    return f"{before}{BEGIN}\n{listing()}\n{END}{after}"


def main() -> None:
    """Write the list into docs/events.md."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
