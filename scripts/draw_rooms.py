"""Draw which room of the package imports which, from the imports as they are.

    python scripts/draw_rooms.py docs/rooms.svg

A room is a folder of the package (``cli``, ``models`` and ``guides`` too). Rooms stand above those
that they import; an arrow that follows from others is left out. Rooms that import each other in a
circle are drawn as one, in red: there should be none.
"""

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[1]
PACKAGE = "scalor_ppl"
MAPPED = ("cli", "models", "guides")  # folders at the top level that install inside the package
WIDTH, HEIGHT, GAP, RISE = 176, 46, 18, 64  # of a box, between boxes, between layers; pixels
SLOT = 16  # what an arrow that passes a layer takes there


def main() -> None:
    """Write the drawing to the path given, by default ``docs/rooms.svg``."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "rooms.svg"
    path.write_text(drawing(rooms(ROOT)), encoding="utf-8")


def rooms(root: Path) -> nx.DiGraph:
    """The rooms below a folder and an arrow for each pair of them where one imports the other.

    A node's ``job`` is the first line of the room's docstring.
    """
    graph = nx.DiGraph()
    folders = [p.parent for p in sorted((root / PACKAGE).glob("*/__init__.py"))]
    for folder in [*folders, *(root / name for name in MAPPED)]:
        words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        graph.add_node(folder.name, job=(words or "").partition("\n")[0])
    for folder in [*folders, *(root / name for name in MAPPED)]:
        for file in sorted(folder.rglob("*.py")):
            for module in imported(ast.parse(file.read_text())):
                other = module.partition(".")[2].partition(".")[0]
                if other in graph and other != folder.name:
                    graph.add_edge(folder.name, other)
    return graph


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the package's modules that a file imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # "from scalor_ppl import data" names a room after the word import.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith(f"{PACKAGE}."))


def drawing(graph: nx.DiGraph) -> str:
    """The rooms as SVG."""
    circles = nx.condensation(graph)
    arrows = nx.transitive_reduction(circles)
    names = {node: " + ".join(sorted(circles.nodes[node]["members"])) for node in arrows}
    widths = {node: max(WIDTH, 9 * len(name) + 20) for node, name in names.items()}
    layers = layered(arrows)
    place = places(layers, widths)
    right = max(place[node][0] + width / 2 for node, width in widths.items()) + GAP
    parts = [
        f'<path d="{curve([place[node] for node in way])}" marker-end="url(#tip)"/>'
        for way in ways(arrows, layers)
    ]
    boxes = []
    for node in arrows:
        circle = names[node] not in graph
        job = "a circle of imports" if circle else graph.nodes[names[node]]["job"]
        boxes.append(box(place[node], widths[node], names[node], job, circle=circle))
    height = len(layers) * (HEIGHT + RISE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {height}" '
        'font-family="system-ui, sans-serif">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#5b7083"/></marker></defs>\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        '<g fill="none" stroke="#5b7083" stroke-width="1.2">\n'
        + "\n".join(parts)
        + "\n</g>\n"
        + "\n".join(boxes)
        + "\n</svg>\n"
    )


def layered(arrows: nx.DiGraph) -> list[list]:
    """Nodes by layer from above, in an order that lets arrows cross little.

    An arrow that passes a layer has a place of its own there: a tuple (from, to, layer).
    """
    depth: dict[object, int] = {}
    for node in reversed(list(nx.topological_sort(arrows))):
        depth[node] = max((depth[below] + 1 for below in arrows.successors(node)), default=0)
    top = max(depth.values())
    layers: list[list] = [[] for _ in range(top + 1)]
    for node in arrows:
        layers[top - depth[node]].append(node)
    for above, below in arrows.edges:
        for layer in range(top - depth[above] + 1, top - depth[below]):
            layers[layer].append((above, below, layer))
    joined = nx.Graph()
    for way in ways(arrows, layers):
        nx.add_path(joined, way)
    for sweep in range(24):  # each layer is put into the order of its neighbours' middles
        down = sweep % 2 == 0
        for index in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            row = {node: n for n, node in enumerate(layers[index - 1 if down else index + 1])}
            old = {node: n for n, node in enumerate(layers[index])}

            def key(node: object, row: dict = row, old: dict = old) -> tuple[float, int]:
                near = [row[n] for n in joined[node] if n in row] if node in joined else []
                return (sum(near) / len(near) if near else old[node], old[node])

            layers[index].sort(key=key)
    return layers


def ways(arrows: nx.DiGraph, layers: list[list]) -> Iterator[list]:
    """Each arrow as the nodes and the places between layers that it goes through."""
    passed = [node for layer in layers for node in layer if isinstance(node, tuple)]
    for above, below in arrows.edges:
        yield [above, *(node for node in passed if node[:2] == (above, below)), below]


def places(layers: list[list], widths: dict) -> dict[object, tuple[float, float]]:
    """Middle of the upper edge of every node, in pixels."""
    sizes = [[widths.get(node, SLOT) for node in layer] for layer in layers]
    widest = max(sum(row) + GAP * (len(row) + 1) for row in sizes)
    place: dict[object, tuple[float, float]] = {}
    for level, (layer, row) in enumerate(zip(layers, sizes, strict=True)):
        gap = (widest - sum(row)) / (len(row) + 1)
        x = gap
        for node, size in zip(layer, row, strict=True):
            place[node] = (x + size / 2, RISE / 2 + level * (HEIGHT + RISE))
            x += size + gap
    return place


def curve(points: list[tuple[float, float]]) -> str:
    """A smooth way from the lower edge of the first box to the upper edge of the last."""
    (x, y), *rest = points
    y += HEIGHT
    path = f"M{x:.0f} {y:.0f}"
    for number, (to_x, to_y) in enumerate(rest):
        half = (to_y - y) / 2
        path += f"C{x:.0f} {y + half:.0f} {to_x:.0f} {to_y - half:.0f} {to_x:.0f} {to_y:.0f}"
        x, y = to_x, to_y
        if number < len(rest) - 1:  # straight on, past the boxes of this layer
            y += HEIGHT
            path += f"V{y:.0f}"
    return path


def box(at: tuple[float, float], width: float, name: str, job: str, *, circle: bool) -> str:
    """A room with its name and job."""
    x, y = at
    colour = "#c0392b" if circle else "#2b6cb0"
    short = job if len(job) <= 32 else job[:31].rstrip(" ,") + "…"
    return (
        f'<g><title>{escape(job)}</title><rect x="{x - width / 2:.0f}" y="{y:.0f}" '
        f'width="{width:.0f}" height="{HEIGHT}" rx="7" fill="#f4f8fb" stroke="{colour}"/>'
        f'<text x="{x:.0f}" y="{y + 19:.0f}" text-anchor="middle" font-size="14" '
        f'font-weight="600" fill="#1a2b3c">{escape(name)}</text>'
        f'<text x="{x:.0f}" y="{y + 35:.0f}" text-anchor="middle" font-size="9.5" '
        f'fill="#44596b">{escape(short)}</text></g>'
    )


if __name__ == "__main__":
    main()
