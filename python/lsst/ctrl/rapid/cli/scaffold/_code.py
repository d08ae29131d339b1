"""The text of a new channel's module and of its test."""

from __future__ import annotations

__all__ = ("render", "task_module", "unit_test")

import importlib.resources
import string
import textwrap
from collections.abc import Iterable, Sequence

from ._imports import Style, is_own, sorted_imports, statements
from ._parts import part
from ._spec import ChannelInput, ChannelSpec

_WIDTH = 110
_NAMED = 2
"""Most inputs that are named in a summary."""


def render(template: str, **values: str) -> str:
    """Fill in one of the templates."""
    folder = importlib.resources.files(__package__).joinpath("templates")
    text = folder.joinpath(f"{template}.template").read_text(encoding="utf-8")
    return string.Template(text).substitute(values)


def task_module(spec: ChannelSpec, style: Style) -> str:
    """Return the module with connections, config and task."""
    stem = spec.names.stem
    functions, imports = _helpers(spec)
    imports |= {
        "from typing import ClassVar",
        "from lsst.pipe.base import PipelineTask",
        "from lsst.pipe.base import PipelineTaskConfig",
        "from lsst.pipe.base import PipelineTaskConnections",
        "from lsst.pipe.base import Struct",
        "from lsst.pipe.base.connectionTypes import Output",
    }
    for found in spec.inputs:
        imports.add(f"from lsst.pipe.base.connectionTypes import {_connection_type(found)}")
        if found.extra:
            imports |= {
                "from collections.abc import Iterable",
                "from lsst.daf.butler import DeferredDatasetHandle",
            }
        else:
            imports |= set(found.kind.imports)
    if measures_pixels := _measures_pixels(spec):
        imports.add("from lsst.pex.config import ListField")
    all_dimensions = dict.fromkeys([spec.dimensions, *(found.dimensions for found in spec.inputs)])
    text = render(
        "task.py",
        summary=_summary(spec),
        exported=_listed("__all__ = ", [f'"{stem}{end}"' for end in ("Config", "Connections", "Task")]),
        imports=sorted_imports(imports, style),
        constants="\n".join(f"{_constant(d)} = {_tuple(d)}" for d in all_dimensions),
        stem=stem,
        label=spec.names.label,
        dimensions=_constant(spec.dimensions),
        connections=_connections(spec),
        config_summary="What is measured" if measures_pixels else "Nothing to choose yet",
        fields=_FIELDS if measures_pixels else "",
        signature=_signature(spec),
        data_id=_data_id(spec),
        parameters="\n".join(map(_parameter, spec.inputs)),
        returns="\n".join(_returned(spec)),
        body="\n".join(line for found in spec.inputs for line in _measurement(found)),
        result=_result(spec),
        helpers="\n\n".join(functions.values()),
    )
    return text.rstrip() + "\n"


def unit_test(spec: ChannelSpec, module: str, style: Style) -> str:
    """Return the unit test of the module of that name."""
    stem = spec.names.stem
    imports = {
        "from lsst.pipe.base.testUtils import assertValidOutput",
        "from lsst.pipe.base.testUtils import lintConnections",
    }
    for found in spec.inputs:
        imports |= set(found.kind.example_imports)
        if found.extra:
            imports.add("from lsst.pipe.base import InMemoryDatasetHandle")
    templates = dict.fromkeys(found.kind.builder for found in spec.inputs if found.kind.builder)
    if any(found.extra for found in spec.inputs):
        templates["handle.py"] = None
    ours = {line for line in imports if is_own(line, style)}
    ours |= {f"from {module} import {stem}{end}" for end in ("Config", "Task")}
    arguments = [f"{found.connection}={_example(found)}" for found in spec.inputs]
    text = render(
        "test.py",
        imports=sorted_imports(imports - ours, Style()),
        own_imports="\n".join(statements(ours)),
        builders="".join(f"{render(template)}\n\n" for template in templates),
        stem=stem,
        arguments=_call_arguments(arguments),
        checks="\n".join(_checks(spec)),
    )
    return text.rstrip() + "\n"


_FIELDS = """
    percentiles = ListField[float](
        doc="Percentiles of the pixels that are told beside their mean.", default=[5.0, 50.0, 95.0]
    )
"""


def _helpers(spec: ChannelSpec) -> tuple[dict[str, str], set[str]]:
    functions: dict[str, str] = {}
    imports: set[str] = set()
    for name in [*(found.kind.helper for found in spec.inputs), *(out.kind.helper for out in spec.outputs)]:
        if name:
            sources, statements = part(name)
            functions |= sources
            imports |= set(statements)
    return functions, imports


def _measures_pixels(spec: ChannelSpec) -> bool:
    return any(found.kind.helper in {"raw", "pixels"} for found in spec.inputs)


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _summary(spec: ChannelSpec) -> str:
    names = [found.name for found in spec.inputs]
    whose = _and(names) if len(names) <= _NAMED else f"{len(names)} dataset types"
    return f"Numbers on {whose}, for each {_data_id(spec)}"


def _data_id(spec: ChannelSpec) -> str:
    return _and([name for name in spec.dimensions if name != "instrument"] or ["instrument"])


def _constant(dimensions: Sequence[str]) -> str:
    return "_" + "_".join([name for name in dimensions if name != "instrument"] or ["instrument"]).upper()


def _tuple(names: Sequence[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"


def _listed(prefix: str, items: Sequence[str]) -> str:
    """Return a tuple on one line, or, where it is too long, on one line for each item."""
    line = f"({', '.join(items)})"
    if len(prefix) + len(line) <= _WIDTH:
        return line
    return "(\n" + "".join(f"    {item},\n" for item in items) + ")"


def _connection_type(found: ChannelInput) -> str:
    return "PrerequisiteInput" if found.is_calibration else "Input"


def _connections(spec: ChannelSpec) -> str:
    blocks = []
    for found in spec.inputs:
        arguments = [
            f'name="{found.name}"', f'storageClass="{found.storage_class}"',
            f"dimensions={_constant(found.dimensions)}",
        ]  # fmt: skip
        if found.extra:
            arguments += ["multiple=True", "deferLoad=True"]
        if found.is_calibration:
            arguments.append("isCalibration=True")
        arguments.append('doc="What the numbers are of."')
        blocks.append(_block(f"{found.connection} = {_connection_type(found)}", arguments))
    for output in spec.outputs:
        arguments = [
            f'name="{output.name}"', f'storageClass="{output.kind.storage_class}"',
            f"dimensions={_constant(spec.dimensions)}", f'doc="{output.kind.doc}"',
        ]  # fmt: skip
        blocks.append(_block(f"{output.name} = Output", arguments))
    return "\n".join(blocks)


def _block(head: str, arguments: Sequence[str]) -> str:
    return f"    {head}(\n" + "".join(f"        {argument},\n" for argument in arguments) + "    )"


def _annotation(found: ChannelInput) -> str:
    return "Iterable[DeferredDatasetHandle]" if found.extra else found.kind.annotation


def _signature(spec: ChannelSpec) -> str:
    arguments = ["self", *(f"{found.connection}: {_annotation(found)}" for found in spec.inputs)]
    line = f"    def run({', '.join(arguments)}) -> Struct:"
    if len(line) <= _WIDTH:
        return line
    return "    def run(\n" + "".join(f"        {argument},\n" for argument in arguments) + "    ) -> Struct:"


def _parameter(found: ChannelInput) -> str:
    what = (
        f"Handles of ``{found.name}``, one for each {_and(found.extra)}."
        if found.extra
        else (f"The ``{found.name}``.")
    )
    return f"        {found.connection}\n            {what}"


def _returned(spec: ChannelSpec) -> Iterable[str]:
    told = ", ".join(dict.fromkeys(found.kind.what for found in spec.inputs))
    outputs = _and(f"``{output.name}``" for output in spec.outputs)
    return textwrap.wrap(
        f"With {outputs}: numbers of each dataset that was read ({told}).",
        _WIDTH,
        initial_indent=" " * 12,
        subsequent_indent=" " * 12,
    )


def _measurement(found: ChannelInput) -> Iterable[str]:
    if not found.extra:
        yield _assigned(f'        numbers["{found.name}"]', found.kind.numbers.format(x=found.connection))
        return
    whose = " ".join("{handle.dataId['" + name + "']}" for name in found.extra)
    yield f"        for handle in {found.connection}:"
    yield f'            name = f"{found.name} {whose}"'
    yield _assigned("            numbers[name]", found.kind.numbers.format(x="handle.get()"))


def _assigned(target: str, call: str) -> str:
    """Return an assignment, with the call's arguments on a line of their own where it is too long."""
    line = f"{target} = {call}"
    if len(line) <= _WIDTH:
        return line
    function, _, arguments = call.removesuffix(")").partition("(")
    indent = " " * (len(target) - len(target.lstrip()))
    return f"{target} = {function}(\n{indent}    {arguments}\n{indent})"


def _result(spec: ChannelSpec) -> str:
    arguments = [f"{output.name}={output.kind.expression}" for output in spec.outputs]
    line = f"        return Struct({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return line
    return "        return Struct(\n" + "".join(f"            {a},\n" for a in arguments) + "        )"


def _example(found: ChannelInput) -> str:
    if not found.extra:
        return found.kind.example
    return f"[_handle({found.kind.example}, {', '.join(f'{name}=1' for name in found.extra)})]"


def _call_arguments(arguments: Sequence[str]) -> str:
    line = ", ".join(arguments)
    if len(line) + len("    result = task.run()") <= _WIDTH:
        return line
    return "\n" + "".join(f"        {argument},\n" for argument in arguments) + "    "


def _checks(spec: ChannelSpec) -> Iterable[str]:
    for output in spec.outputs:
        yield f"    found = {output.kind.found.format(x=f'result.{output.name}')}"
        for found in spec.inputs:
            dataset = " ".join([found.name, *("1" for _ in found.extra)])
            quantity, value = found.kind.expected
            yield f"    assert {output.kind.check.format(dataset=dataset, quantity=quantity, value=value)}"
