"""Reports the versions of packages as one line of JSON, without importing any of them.

Run as a program, it prints the line. In a running interpreter, `answer(packages)` returns it.

It reads the versions from files, and uses only modules that Python loads at startup. Importing
importlib.metadata, which would find most versions, takes half as long as this whole script.
"""

import sys

# The working folder, which imports would search first.
if __name__ == "__main__" and sys.path and sys.path[0] == "":
    del sys.path[0]

import os


def literals(path):
    """The top-level names of a module with a string or None as value.

    Nested names keep their indentation, so they do not match.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read(1 << 16).decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, value = line.partition("=")
        value = value.partition("#")[0].strip()
        if value == "None":
            value = None
        elif len(value) < 2 or value[0] not in "\"'" or value.find(value[0], 1) != len(value) - 1:
            continue
        else:
            value = value[1:-1]
        found[name.partition(":")[0].rstrip()] = value
    return found


def folder(package):
    """The folder a package would be imported from, or None."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(package, None)
        except Exception:
            continue
        if spec is not None:
            return os.path.dirname(spec.origin) if spec.has_location else None
    return None


def stated_version(record):
    """The version in an installer's record: a .dist-info folder, or an .egg-info folder or file."""
    for path in (os.path.join(record, "METADATA"), os.path.join(record, "PKG-INFO"), record):
        try:
            with open(path, "rb") as file:
                for line in file:
                    name, _, value = line.partition(b":")
                    if name.lower() == b"version":
                        return value.decode("utf-8", "replace").strip()
                    if not line.strip():
                        break
        except OSError:
            pass
    return None


def installed(wanted):
    """The versions of these distributions.

    The first folder in sys.path that has a record wins, and in it the newest record.
    """
    found = {}
    for entry in sys.path:
        records = {}
        try:
            for file in os.listdir(entry):
                stem, _, kind = file.rpartition(".")
                name = stem.partition("-")[0].lower().replace("_", "-").replace(".", "-")
                if kind in ("dist-info", "egg-info") and name in wanted and name not in found:
                    path = os.path.join(entry, file)
                    records.setdefault(name, []).append((os.stat(path).st_mtime, path))
        except OSError:
            pass
        for name in records:
            version = stated_version(max(records[name])[1])
            if version is not None:
                found[name] = version
    return found


def json(value):
    """The value as JSON. Text that would need escapes is not a version and becomes null."""
    if isinstance(value, dict):
        return "{%s}" % ",".join('"%s":%s' % (name, json(value[name])) for name in value)
    if value is None or not all(" " <= c <= "~" and c not in '"\\' for c in value):
        return "null"
    return '"%s"' % value


def answer(wanted):
    """The versions of Python, torch, numpy and these packages, as JSON text."""
    versions = installed(["numpy", *wanted])
    torch, numpy = folder("torch"), folder("numpy")
    if torch is not None:
        torch = literals(os.path.join(torch, "version.py"))
        torch = {name: torch.get(name) for name in ("__version__", "cuda", "hip", "rocm")}
    if numpy is not None:
        numpy = literals(os.path.join(numpy, "version.py")).get("version") or versions.get("numpy")
    found = {
        "python": sys.version.split()[0],
        "torch": torch,
        "numpy": numpy,
        "packages": {name: versions[name] for name in wanted if name in versions},
    }
    return json(found)


if __name__ == "__main__":
    os.write(1, ("\n%s%s\n" % (sys.argv[1], answer(sys.argv[2:]))).encode("ascii"))
    os._exit(0)  # skips Python's cleanup, which takes longer than the answer
