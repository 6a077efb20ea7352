"""Old names of Airflow, found where they are now. The tables are in `names`.

Our finder stands last on `sys.meta_path`, and our `__getattr__` after that of the module: whatever Airflow or a provider has itself
is never hidden.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys

from tradewind_bridge.names import ATTRIBUTES, CONTRIB, GONE, GROUPS, MODULES
from tradewind_bridge.notices import tell


def install():
    for module, names in ATTRIBUTES.items():
        extend(importlib.import_module(module), names)
    sys.meta_path.append(Finder())


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that are not there any more, and makes them out of their lines in the table."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            is_package = any(other.startswith(name + ".") for other in MODULES)
            return importlib.machinery.ModuleSpec(name, self, is_package=is_package)
        advice = advice_for(name)
        if advice:
            raise ModuleNotFoundError(f"{name}: {advice}", name=name)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        extend(module, MODULES[module.__name__])


def advice_for(name):
    for gone, advice in GONE.items():
        if name == gone or name.startswith(gone + "."):
            return advice
    return CONTRIB if name.startswith("airflow.contrib.") else None


def extend(module, names):
    """Lets a module find names in the table that it does not have itself."""
    before = module.__dict__.get("__getattr__")

    def find(name):
        if before is not None:
            try:
                return before(name)
            except AttributeError:
                pass
        target = names.get(name)
        if target is None and "*" in names and not name.startswith("__"):
            target = f"{names['*']}:{name}"
        if target is None:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)
        value = resolve(target, f"{module.__name__}.{name}")
        if not target.startswith("tradewind_bridge"):
            tell(f"`{module.__name__}.{name}` is gone from Airflow 3; it is `{target.replace(':', '.')}` now")
        else:
            tell(f"`{module.__name__}.{name}` is gone from Airflow 3; it still works here")
        return value

    module.__getattr__ = find


def resolve(target, old):
    place, _, path = target.partition(":")
    try:
        value = importlib.import_module(place)
    except ModuleNotFoundError as error:
        package = package_of(place)
        if package is None or not place.startswith((error.name or "") or "?"):
            raise
        # Not the error itself: what is missing is the package, not a name in it.
        raise ModuleNotFoundError(
            f"{old} is in the package {package} now, which is not installed: put it into a requirements file, and run "
            "`tradewind python setup --requirements FILE`",
            name=place,
        ) from None
    for name in path.split("."):
        value = getattr(value, name)
    return value


def package_of(module):
    """The package of a provider's module."""
    parts = module.split(".")
    if parts[:2] != ["airflow", "providers"]:
        return None
    words = parts[2:4] if parts[2] in GROUPS else parts[2:3]
    return "apache-airflow-providers-" + "-".join(words)
