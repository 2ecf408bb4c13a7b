"""Checks of a page for people who see little, use no mouse or have it read to them: WCAG 2.2."""

from itertools import pairwise
from typing import Any

from tests.support.browser import Tab

TEXT, DRAWN = 4.5, 3.0  # least contrast: 1.4.3, without its exception for large text, and 1.4.11
LANDMARKS = ("banner", "navigation", "search", "main", "complementary", "region", "contentinfo")
HOLDERS = ("dialog", "alertdialog", "status", "alert", "log")  # texts in these need no landmark
NAMED = ("button", "link", "image", "searchbox", "textbox", "spinbutton", "combobox", "region")
# Computes contrasts from the styles that the browser has resolved. A ground is that of the nearest
# ancestor that has an opaque one; what is half transparent is mixed with it.
CONTRASTS = """
(() => {
  const parsed = (text) => {
    const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], under) =>
    [r, g, b].map((v, n) => v * a + under[n] * (1 - a)).concat(1);
  const ground = (node) => {
    if (!node) return [255, 255, 255, 1];
    const own = parsed(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, node) => {
    const under = ground(node);
    const [a, b] = [light(over(parsed(one), under)), light(under)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const low = [];
  const check = (value, least, what, node) => {
    const said = (node.textContent || node.name || "").slice(0, 40);
    const which = `${node.tagName} ${node.className} ${said}`;
    if (value < least) low.push(`${what} ${value.toFixed(2)}: ${which}`);
  };
  let texts = 0, edges = 0;
  const passed = "script, noscript, title, option, :disabled, .away, .skip, .stage, .plots > div";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (node.closest(passed) || !text.textContent.trim() || !node.checkVisibility()) continue;
    if (node.closest("#toast:not(.shown)")) continue;
    const style = getComputedStyle(node);
    texts++;
    check(contrast(node.closest("svg") ? style.fill : style.color, node), TEXT, "text", node);
  }
  const edged = "input, select, button:not(.quiet, .frame, :disabled)";
  for (const node of document.querySelectorAll(edged)) {
    if (!node.checkVisibility()) continue;
    edges++;
    const edge = getComputedStyle(node).borderBottomColor;
    check(contrast(edge, node.parentElement), DRAWN, "edge", node);
    const hint = getComputedStyle(node, "::placeholder").color;
    if (node.placeholder) check(contrast(hint, node), TEXT, "placeholder", node);
  }
  for (const node of document.querySelectorAll(".fill, .axis")) {
    const style = getComputedStyle(node);
    const colour = node.classList.contains("axis") ? style.stroke : style.fill;
    check(contrast(colour, node.parentElement), DRAWN, "drawn", node);
  }
  return { low: [...new Set(low)], texts, edges };
})()
""".replace("TEXT, ", f"{TEXT}, ").replace("DRAWN, ", f"{DRAWN}, ")


async def low_contrasts(tab: Tab) -> dict[str, Any]:
    """Return `low`, what has too little contrast, and the number of `texts` and `edges` seen."""
    found: dict[str, Any] = await tab.run(CONTRASTS)
    return found


async def names(tab: Tab, *roles: str) -> list[tuple[str, str]]:
    """Return role and name of what a screen reader finds in the page, as the browser tells it."""
    tree = await tab.send("Accessibility.getFullAXTree")
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree["nodes"]
        if not node["ignored"] and node["role"]["value"] in (roles or NAMED)
    ]


async def heading_levels(tab: Tab) -> list[int]:
    """Return the levels of the page's headings, in their order."""
    found = "[...document.querySelectorAll('h1, h2, h3, h4')]"
    levels: list[int] = await tab.run(f"{found}.map((node) => Number(node.tagName[1]))")
    return levels


def skips_no_level(levels: list[int]) -> bool:
    """Return whether headings begin with the only one of level 1 and go down one by one."""
    steps = all(below - above <= 1 for above, below in pairwise(levels))
    return levels[:1] == [1] and levels.count(1) == 1 and steps


async def landmarks(tab: Tab) -> tuple[list[tuple[str, str]], list[str]]:
    """Return role and name of the page's landmarks, and the texts outside of any.

    Outside are texts of no landmark, live region or dialog. A form without a name is no landmark.
    """
    tree = {
        node["nodeId"]: node for node in (await tab.send("Accessibility.getFullAXTree"))["nodes"]
    }
    found: list[tuple[str, str]] = []
    outside: list[str] = []
    for node in tree.values():
        role, name = _role(node), node.get("name", {}).get("value", "").strip()
        if role in LANDMARKS or (role == "form" and name):
            found.append((role, name))
        above = node
        while role == "StaticText" and _role(above) not in (*LANDMARKS, *HOLDERS):
            if above.get("parentId") not in tree:
                outside.append(name)
                break
            above = tree[above["parentId"]]
    return found, outside


def _role(node: dict[str, Any]) -> str:
    return "" if node["ignored"] else str(node["role"]["value"])
