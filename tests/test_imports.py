"""Which package may import which, and what inspecting and serving never load."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import onspec
from onspec.recipe.package import Package

SOURCE = Path(onspec.__file__).parent

ALLOWED: dict[str, set[str]] = {
    "domain": set(),
    "imaging": {"domain"},
    "datasets": {"domain", "imaging"},
    "decision": {"domain", "imaging"},
    "recipe": {"domain", "imaging", "decision"},
    "evaluation": {"domain", "imaging", "decision"},
    "training": {"domain", "imaging", "datasets", "recipe", "evaluation"},
    "runtime": {"domain", "imaging", "decision", "recipe"},
    "records": {"domain", "decision"},
    "service": {"domain", "imaging", "datasets", "decision", "recipe", "evaluation", "runtime", "records", "line"},
    "line": {"domain", "runtime", "records"},
}
"""Package → packages of onspec that it may import; `cli` may import anything and nobody imports it."""

TORCH_FREE = set(ALLOWED) - {"training"}
TORCH_ENGINE = {"runtime/torch_engine.py", "runtime/torch_graph.py"}
"""The one engine that is torch; its files are imported when it is asked for, and by nothing else."""
TORCH = {"torch", "lightning", "lightning_fabric", "torchvision"}


def imports_of(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions and for type checking, too."""
    package = ["onspec", *file.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def package_of(module: str) -> str | None:
    """The package of onspec that a module belongs to."""
    parts = module.split(".")
    return parts[1] if parts[0] == "onspec" and len(parts) > 1 and (SOURCE / parts[1]).is_dir() else None


def files_of(package: str) -> list[Path]:
    """Its source files."""
    return sorted((SOURCE / package).rglob("*.py"))


PACKAGES = sorted(p.name for p in SOURCE.iterdir() if p.is_dir() and any(p.glob("*.py")))


def test_the_test_sees_imports() -> None:
    folder = SOURCE / "runtime"
    assert "onspec.domain" in set(imports_of(folder / "inspector.py"))
    assert "onspec.recipe.package.Package" in set(imports_of(folder / "inspector.py"))
    assert "onnxruntime" in set(imports_of(folder / "onnxruntime_engine.py"))  # inside a function


def test_every_package_has_its_place_in_the_table() -> None:
    assert set(PACKAGES) <= set(ALLOWED) | {"cli"}


@pytest.mark.parametrize("package", [p for p in PACKAGES if p != "cli"])
def test_imports_follow_the_table(package: str) -> None:
    wrong = {
        f"{file.relative_to(SOURCE)} imports {module}"
        for file in files_of(package)
        for module in imports_of(file)
        if (target := package_of(module)) is not None and target != package and target not in ALLOWED[package]
    }
    assert not wrong


@pytest.mark.parametrize("package", [p for p in PACKAGES if p in TORCH_FREE])
def test_torch_lives_in_training_and_in_its_own_engine(package: str) -> None:
    wrong = {
        f"{file.relative_to(SOURCE)} imports {module}"
        for file in files_of(package)
        for module in imports_of(file)
        if module.split(".")[0] in TORCH and file.relative_to(SOURCE).as_posix() not in TORCH_ENGINE
    }
    assert not wrong


def test_nothing_but_the_table_of_engines_leads_to_torch() -> None:
    """Of the engine's two files, one is imported by name when it is asked for, the other by it."""
    names = {"onspec." + file.removesuffix(".py").replace("/", ".") for file in TORCH_ENGINE}
    wrong = {
        f"{file.relative_to(SOURCE)} imports {module}"
        for file in SOURCE.rglob("*.py")
        if file.relative_to(SOURCE).as_posix() not in TORCH_ENGINE
        for module in imports_of(file)
        if any(module == name or module.startswith(name + ".") for name in names)
    }
    assert not wrong


def test_the_table_has_no_cycle() -> None:
    def reach(package: str, path: tuple[str, ...]) -> None:
        assert package not in path, f"{' -> '.join(path)} -> {package}"
        for target in ALLOWED[package]:
            reach(target, (*path, package))

    for package in ALLOWED:
        reach(package, ())


def test_modules_import_each_other_without_a_cycle() -> None:
    """At import time: what functions and type checkers import does not count."""
    graph: dict[str, set[str]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        name = ".".join(["onspec", *file.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        body = [
            n for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        targets = {n.module for n in body if isinstance(n, ast.ImportFrom) and n.module}
        targets |= {alias.name for n in body if isinstance(n, ast.Import) for alias in n.names}
        graph[name] = {t for t in targets if t.startswith("onspec.")}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"{' -> '.join(path)} -> {module}"
        if module in done:
            return
        for target in graph.get(module, ()):
            visit(target, (*path, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def loaded(code: str, *arguments: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after running `code`."""
    report = "\nimport json, sys; print('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + report, *arguments],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


COMMAND = """
import sys
from onspec.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit as exited:
    assert exited.code == 0, exited.code
"""


def test_importing_onspec_loads_nothing_heavy() -> None:
    assert not {"torch", "cv2", "numpy", "onnxruntime", "pydantic"} & loaded("import onspec")


def test_the_help_of_inspect_loads_no_torch_and_no_engine() -> None:
    assert not {"torch", "onnxruntime", "cv2"} & loaded(COMMAND, "inspect", "--help")


def test_inspecting_loads_no_torch(tiny_recipe_path: Path, tiny_package: Package, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(tiny_package.golden[1].data)
    arguments = ("inspect", str(tiny_recipe_path), str(tmp_path / "good.png"), "--overlays", str(tmp_path / "o"))
    modules = loaded(COMMAND, *arguments)
    assert (tmp_path / "o" / "good.png").is_file()
    assert "onnxruntime" in modules
    assert not (TORCH | {"onnx", "scipy", "sklearn", "matplotlib"}) & modules


def test_the_service_loads_no_torch() -> None:
    pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
    modules = loaded("import onspec.service.app")
    assert "fastapi" in modules
    assert not TORCH & modules
