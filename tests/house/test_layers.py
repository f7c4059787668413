"""A module imports only its own layer and lower ones, nothing imports in a circle, heavy things stay at their place."""

from __future__ import annotations

import sys

from tests.house.source import Module, modules

LAYERS: dict[int, set[str]] = {
    0: {
        "types",
        "observation",
        "agent_steps",
        "errors",
        "protocols",
        "prefix_tree",
        "budget",
        "metering",
        "codec",
        "scores",
    },
    1: {"templates", "parsing", "answers", "search", "records"},
    2: {
        "tools",
        "trajectory",
        "engines",
        "tasks",
        "formats",
        "actor",
        "critic",
        "step_critics",
        "likelihood",
        "reward_model",
        "verifiers",
        "treeview",
        "exploration",
        "environments",
    },
    3: {"loading", "export", "metrics", "training", "collection", "functions"},
    4: {"graphs"},
    5: {"cli", "view", "bench", "critic_report"},
}
"""The layers by unit: a unit is a module or a package right below `actorcritic`. A new unit is entered here."""

LAYER = {unit: layer for layer, units in LAYERS.items() for unit in units}

ONLY_IN = {
    "langgraph": {"graphs"},
    "networkx": {"treeview", "metrics"},
    "typer": {"cli"},
    "rich": {"cli", "view"},
    "sympy": {"tools", "answers", "parsing"},
    "math_verify": {"answers"},
    "openai": {"engines"},
    "vllm": {"engines"},
    "transformers": {"engines", "export", "training"},
}
"""Libraries that only some units may import."""


def unit_of(name: str) -> str:
    """Return the unit that a module belongs to: `search` for `actorcritic.search.tree`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_unit_has_a_layer() -> None:
    units = {unit_of(module.name) for module in modules()} - {"", "__main__"}
    assert units <= LAYER.keys(), f"enter into LAYERS: {sorted(units - LAYER.keys())}"


def test_imports_go_down() -> None:
    wrong = [
        f"{module.name} (layer {LAYER[here]}) imports {name} (layer {LAYER[there]})"
        for module in modules()
        for name in module.imports
        if name.startswith("actorcritic.")
        if (here := unit_of(module.name)) in LAYER
        if (there := unit_of(name)) in LAYER
        if LAYER[there] > LAYER[here]
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_inside_imports_the_facade() -> None:
    wrong = [module.name for module in modules() if "actorcritic" in module.imports and unit_of(module.name)]
    assert not wrong, f"import from the module that defines the name: {wrong}"


def test_no_circles() -> None:
    graph = {
        module.name: sorted(name for name in module.imports if name != module.name)
        for module in modules()
        if not module.is_package
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"imports go in a circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for inner in graph.get(name, ()):
                visit(inner, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_circles_between_units() -> None:
    graph: dict[str, set[str]] = {}
    for module in modules():
        here = unit_of(module.name)
        inner = {unit_of(name) for name in module.imports if name.startswith("actorcritic.")}
        graph.setdefault(here, set()).update(inner - {here, ""})
    while leaves := {unit for unit, below in graph.items() if not below & graph.keys()}:
        graph = {unit: below for unit, below in graph.items() if unit not in leaves}
    assert not graph, f"units import one another in a circle: {graph}"


def test_search_needs_nothing_but_the_standard_library() -> None:
    wrong = {
        (module.name, name)
        for module in modules()
        if unit_of(module.name) == "search"
        for name in module.imports
        if name.split(".")[0] not in sys.stdlib_module_names | {"actorcritic"}
    }
    assert not wrong


def test_search_knows_no_clock_no_tasks_and_no_shared_random_numbers() -> None:
    banned = {"asyncio", "time", "threading", "datetime"}
    wrong = {
        (module.name, name)
        for module in modules()
        if unit_of(module.name) == "search"
        for name in module.imports & banned
    }
    assert not wrong


def test_libraries_stay_at_their_place() -> None:
    wrong = {
        (module.name, name)
        for module in modules()
        for name in module.imports
        if (library := name.split(".")[0]) in ONLY_IN
        if unit_of(module.name) not in ONLY_IN[library]
    }
    assert not wrong


def test_the_rule_sees_an_import_inside_a_function() -> None:
    path = next(module.path for module in modules() if module.name == "actorcritic.tools.calculate")
    assert "langchain_core.tools" in Module("actorcritic.tools.calculate", path).imports
