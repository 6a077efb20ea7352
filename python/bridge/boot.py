"""Makes the bridge's modules out of their texts, which the first argument holds as JSON, and starts the fork server.

So nothing is installed into the Python environment, and what runs always belongs to the program that started it.
"""

import json
import sys
import types

PACKAGE = "tradewind_bridge"


def main():
    texts = json.loads(sys.argv.pop(1))
    package = sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
    package.__path__ = []
    package.texts = dict(texts)
    # In the order in which they are given: a module is made after those that it imports.
    for name, text in texts:
        module = types.ModuleType(f"{PACKAGE}.{name}")
        sys.modules[module.__name__] = module
        setattr(package, name, module)
        exec(compile(text, f"<{module.__name__}>", "exec"), module.__dict__)
    package.zygote.main()


main()
