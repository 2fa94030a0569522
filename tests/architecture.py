"""An import contract that import-linter does not ship: a package may import only what is listed."""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedDependencies(Contract):
    """Third-party packages that ``package`` may import; the standard library is always allowed."""

    package = fields.ModuleField()
    allowed = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        root = self.package.name
        known = self.allowed | sys.stdlib_module_names
        broken = sorted(
            (importer, imported)
            for importer in {root} | graph.find_descendants(root)
            for imported in graph.find_modules_directly_imported_by(importer)
            if not imported.startswith("app.") and imported.split(".")[0] not in known
        )
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} may not import {imported}")
