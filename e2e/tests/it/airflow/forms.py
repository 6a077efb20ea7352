"""The forms in which a secret may come out of a program. `python forms.py SECRET ...` prints all of them as JSON."""

import ast
import base64
import html
import json
import shlex
import sys
from urllib.parse import quote, quote_plus


def forms(secret):
    """By their names. What Python puts around them is left out."""
    within = {
        "plain": secret,
        "repr": repr(secret)[1:-1],
        "repr of both quotes": repr(secret + "'\"")[1:-4],
        "ascii": ascii(secret)[1:-1],
        "bytes": repr(secret.encode())[2:-1],
        "json": json.dumps(secret)[1:-1],
        "json of all characters": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "repr in repr": repr(repr(secret)[1:-1])[1:-1],
        "quote": quote(secret),
        "quote with nothing safe": quote(secret, safe=""),
        "quote_plus": quote_plus(secret),
        "html": html.escape(secret),
        "hex": secret.encode().hex(),
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(secret.encode()).decode(),
    }
    assert ast.literal_eval(f"'''{within['ascii']}'''") == secret
    return within


def sentences(secret):
    """Texts in which secrets stand, by their names."""
    return {
        "shell": shlex.quote(secret),
        "uri": f"postgres://me:{quote(secret, safe='')}@host/db",
        "basic": "Basic " + base64.b64encode(f"me:{secret}".encode()).decode(),
        "object": repr({"a": [{"b": secret}]}),
        "error": repr(ValueError(f"no {secret}")),
    }


if __name__ == "__main__":
    found = {form for secret in sys.argv[1:] for form in forms(secret).values()}
    # As a page would have it.
    found |= {html.escape(form).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for form in found}
    print(json.dumps(sorted(found)))
