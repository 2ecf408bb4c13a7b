"""Read the plots of a report: places in an SVG, and numbers by the ticks of its axes."""

import re

import numpy as np


def ticks(svg: str, axis: str) -> np.ndarray:
    """Return the place and the number of each tick of an axis, x or y: [N, 2]."""
    found = []
    for group in re.findall(rf'<g id="{axis}tick_\d+">(.*?)\n    </g>', svg, re.DOTALL):
        place = re.search(rf'<use [^>]*\b{axis}="([\d.]+)"', group)
        text = re.search(r">([^<>]+)</text>", group)
        if place and text and re.fullmatch(r"−?[\d.]+", text[1]):
            found.append((float(place[1]), float(text[1].replace("−", "-"))))
    return np.array(found)


def values(svg: str, places: np.ndarray) -> np.ndarray:
    """Convert places [..., 2] in the picture into numbers of its two axes."""
    made = []
    for column, axis in enumerate("xy"):
        at, number = ticks(svg, axis).T
        slope, start = np.polyfit(at, number, 1)
        made.append(slope * places[..., column] + start)
    return np.stack(made, axis=-1)


def markers(svg: str, colour: str) -> np.ndarray:
    """Return the places [N, 2] of the filled markers of a colour."""
    uses = re.findall(rf'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: {colour}', svg)
    return np.array(uses, float)


def lines(svg: str, style: str) -> np.ndarray:
    """Return both ends of the straight lines whose style contains a text: [N, 2, 2]."""
    pair = r"([\d.]+) ([\d.]+)"
    drawn = re.findall(rf'<path d="M {pair} \nL {pair} \n"[^>]*style="([^"]*)"', svg)
    ends = [[float(number) for number in one[:4]] for one in drawn if style in one[4]]
    return np.array(ends).reshape(-1, 2, 2)


def rectangles(svg: str, colour: str) -> np.ndarray:
    """Return left, top, right and bottom of the rectangles of a colour: [N, 4]."""
    found = []
    for path in re.findall(rf'<path d="([^"]+)"[^>]*style="fill: {colour}', svg):
        corners = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), float)
        found.append([*corners.min(axis=0), *corners.max(axis=0)])
    return np.array(found).reshape(-1, 4)


def texts(svg: str) -> dict[str, tuple[float, float]]:
    """Map each text to its place."""
    found = re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg)
    return {text.strip(): (float(x), float(y)) for x, y, text in found}
