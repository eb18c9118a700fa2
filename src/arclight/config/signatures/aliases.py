"""Replace type aliases in annotations by the types that they name."""

import ast
import copy
from functools import lru_cache

from arclight.config.project import ENGINE, project
from arclight.config.signatures.modules import Module, load
from arclight.ranges import RANGES


@lru_cache(maxsize=8192)
def spelled_out(annotation: ast.expr | None, module: Module | None) -> ast.expr | None:
    """Turns `Mode | None` into `Literal["a", "b"] | None` if the module has such a `Mode`.

    Only aliases of the project's own modules are replaced, imported ones included.
    """
    if annotation is None or module is None:
        return annotation
    found = copy.deepcopy(annotation)
    result: ast.expr = _SpelledOut(module, frozenset()).visit(found)
    return result


class _SpelledOut(ast.NodeTransformer):
    def __init__(self, module: Module, seen: frozenset[str]) -> None:
        self.module = module
        self.seen = seen

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in RANGES or node.id in self.seen:
            return node
        module, name = self.module, node.id
        bindings = module.names.get(name, [])
        if bindings and isinstance(bindings[0], str):
            origin, _, name = bindings[0].rpartition(".")
            owned = origin.split(".")[0] in (*ENGINE, *project().packages)
            source = load(origin) if owned else None
            if source is None:
                return node
            module, bindings = source, source.names.get(name, [])
        if not bindings or not isinstance(bindings[0], ast.Subscript | ast.BinOp):
            return node
        spelled: ast.expr = _SpelledOut(module, self.seen | {node.id}).visit(
            copy.deepcopy(bindings[0])
        )
        return spelled

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        literal = isinstance(node.value, ast.Name) and node.value.id == "Literal"
        if not literal:
            node.slice = self.visit(node.slice)
        return node
