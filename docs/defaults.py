"""For the site: signatures show values where a function takes defaults from ``ScoreOptions``."""

from __future__ import annotations

from typing import Any

import griffe

_FIELD_OF = "ScoreOptions."


class Defaults(griffe.Extension):
    """Replaces ``ScoreOptions.field`` by the value of the field."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called by griffe for every package that it has read."""
        del kwargs
        if pkg.name != "ntk_al":
            return
        options = pkg["lookahead.options.ScoreOptions"]
        for module in pkg["lookahead"].modules.values():
            for function in module.functions.values():
                for parameter in function.parameters:
                    default = str(parameter.default)
                    if default.startswith(_FIELD_OF):
                        field = options[default.removeprefix(_FIELD_OF)]
                        parameter.default = self._value(pkg, field)

    def _value(self, pkg: griffe.Module, attribute: griffe.Attribute) -> str:
        """The value of an attribute, or of the constant that it names."""
        value = attribute.value
        if isinstance(value, griffe.ExprName):
            path = value.canonical_path.removeprefix(f"{pkg.name}.")
            return self._value(pkg, pkg[path])
        return str(value)
