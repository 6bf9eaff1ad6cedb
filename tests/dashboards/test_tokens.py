"""The page's inks on the page's grounds, by the contrast of WCAG 2.2 (1.4.3 and 1.4.11)."""

import re

import pytest

from tests.dashboards.fake_hub import OPERATOR

TEXT = 4.5
MARK = 3.0
GROUNDS = ("field", "panel", "raised", "sunken")
PAIRS = [
    *[
        (ink, ground, TEXT)
        for ink in ("ink", "quiet", "accent", "serious", "critical", "high")
        for ground in GROUNDS
    ],
    *[("caution", ground, TEXT) for ground in ("field", "panel", "raised", "caution-wash")],
    *[(ink, wash, TEXT) for ink in ("ink", "quiet") for wash in ("caution-wash", "serious-wash")],
    ("ink", "door", TEXT),
    ("quiet", "door", TEXT),
    *[(ink, "serious-wash", TEXT) for ink in ("critical", "high")],
    ("accent-ink", "accent", TEXT),
    ("critical-ink", "critical", TEXT),
    ("panel", "ink", TEXT),
    ("caution-fill", "cavity", MARK),
    ("ink", "plot-normal", TEXT),
    ("ink", "plot-spread", MARK),
    ("plot-bar", "panel", MARK),
    *[("line-strong", ground, MARK) for ground in ("panel", "raised")],
]


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark chosen", "dark by the system"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS, ids=str)
def test_ink_is_readable_on_its_ground(theme: int, ink: str, ground: str, least: float) -> None:
    tokens = palettes()[theme]
    assert contrast(tokens[ink], tokens[ground]) >= least


def test_both_ways_to_dark_are_the_same() -> None:
    _, chosen, by_system = palettes()
    assert chosen == by_system


def palettes() -> list[dict[str, str]]:
    text = (OPERATOR / "css" / "tokens.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", text)
    assert len(blocks) == 3
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4) for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
