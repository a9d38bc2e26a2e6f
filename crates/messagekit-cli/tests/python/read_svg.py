"""Read a plot as any XML parser does, and print what it shows as JSON."""

import json
import sys
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def points(line: ET.Element) -> list[list[float]]:
    return [[float(number) for number in point.split(",")] for point in line.get("points").split()]


root = ET.parse(sys.argv[1]).getroot()
assert root.tag == f"{SVG}svg", root.tag
legend = root.find(f"{SVG}g[@class='legend']")
shown = {
    "lines": {line.get("class"): points(line) for line in root.findall(f"{SVG}polyline")},
    "legend": {
        key.get("class"): name.findtext(f"{SVG}title")
        for key, name in zip(legend.findall(f"{SVG}polyline"), legend.findall(f"{SVG}g"), strict=True)
    }
    if legend is not None
    else {},
    "texts": [text.text.strip() for text in root.iter(f"{SVG}text")],
}
print(json.dumps(shown))
