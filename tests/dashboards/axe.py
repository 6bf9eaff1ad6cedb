"""The accessibility rules of axe-core, run in a page of the tests.

The script reaches the page through the debugger, as the tests' own expressions do: the page's policy forbids it
nothing that it needs, and is not loosened for it.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

SCRIPT: Final = Path(__file__).parent / "vendor" / "axe.min.js"
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
RUN: Final = """async ([scope, tags]) => {
  const asked = { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] };
  const { violations } = await axe.run(scope ?? document, asked);
  return violations.map(({ id, help, nodes }) => ({
    rule: id, help, nodes: nodes.map((one) => `${one.html} — ${one.failureSummary}`) }));
}"""


async def axe(page: Page, *, scope: str | None = None) -> None:
    """Fail for every rule that what is shown now breaks; `scope` is a selector, the whole document without it."""
    found = await violations(page, scope=scope)
    assert not found, "\n".join(
        f"{one['rule']}: {one['help']}\n" + "\n".join(f"    {node}" for node in one["nodes"]) for one in found
    )


async def violations(page: Page, *, scope: str | None = None) -> list[dict[str, Any]]:
    """Return the broken rules, each with its `rule`, `help` and `nodes`."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_script())
    found: list[dict[str, Any]] = await page.evaluate(RUN, [scope, list(TAGS)])
    return found


@cache
def _script() -> str:
    return SCRIPT.read_text(encoding="utf-8")
