"""Reports the versions of packages as one line of JSON, without importing any of them.

A program prints the line. In an interpreter that is running already, `answer(packages)` returns it.

They are found in files, with modules that are loaded anyway: importlib.metadata would find most, and takes half as long to
be imported as all of this.
"""

import sys

# The working folder, from where the next import would come first.
if __name__ == "__main__" and sys.path and sys.path[0] == "":
    del sys.path[0]

import os


def literals(path):
    """The top-level names of a module that stand for text or None. Names keep their indentation, so that others differ."""
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
    """Where a package would be imported from."""
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(package, None)
        except Exception:
            continue
        if spec is not None:
            return os.path.dirname(spec.origin) if spec.has_location else None
    return None


def stated_version(record):
    """The version in what an installer has left: a .dist-info, or an .egg-info that is a folder or a file."""
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
    """The versions of these distributions. The first folder of the path that has one counts; in it, the latest record."""
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
    """JSON text of what is found here; text that would need an escape is no version, and null."""
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
    os._exit(0)  # without Python's clean-up, which takes longer than the answer
