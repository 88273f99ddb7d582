# SPDX-License-Identifier: MIT
"""A list of what is in an image, as SPDX 2.3 in JSON: each file belongs to a Debian package or to
Godwit; versions, sources and licences are what dpkg and the copyright files say."""
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid

DPKG_INFO = "/var/lib/dpkg/info"
SPDX_OF_DEBIAN = {  # short names of Debian's machine-readable copyright files
    "Apache-2": "Apache-2.0", "Apache-2.0": "Apache-2.0", "Artistic-2.0": "Artistic-2.0",
    "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause", "BSL-1.0": "BSL-1.0",
    "Expat": "MIT", "GPL-1": "GPL-1.0-only", "GPL-1+": "GPL-1.0-or-later",
    "GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only",
    "GPL-3+": "GPL-3.0-or-later", "ISC": "ISC", "LGPL-2": "LGPL-2.0-only",
    "LGPL-2+": "LGPL-2.0-or-later", "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later", "LGPL-3": "LGPL-3.0-only", "LGPL-3+": "LGPL-3.0-or-later",
    "MIT": "MIT", "MPL-2.0": "MPL-2.0", "Zlib": "Zlib", "curl": "curl", "PostgreSQL": "PostgreSQL",
}


def merged(path):
    """The path as it is with /bin and /lib below /usr."""
    top = path.split("/")[1] if path.startswith("/") else ""
    return "/usr" + path if top in ("bin", "sbin", "lib", "lib64") else path


def owners():
    """Which package each file of the system is of."""
    found = {}
    for listing in sorted(glob.glob(f"{DPKG_INFO}/*.list")):
        package = os.path.basename(listing)[:-len(".list")].split(":")[0]
        with open(listing, encoding="utf-8") as lines:
            for line in lines:
                found.setdefault(merged(line.rstrip("\n")), package)
    return found


def packages():
    """Version, source and home page of each package that is installed."""
    form = ("${Package}\t${Version}\t${source:Package}\t${source:Version}\t${Architecture}\t"
            "${Homepage}\t${Maintainer}\n")
    output = subprocess.run(["dpkg-query", "-W", "-f", form], check=True, capture_output=True,
                            text=True).stdout
    names = ("name", "version", "source", "source_version", "architecture", "homepage", "maintainer")
    return {row.split("\t")[0]: dict(zip(names, row.split("\t"))) for row in output.splitlines()}


def licences_of(package):
    """The short names that the package's copyright file declares; none if a machine cannot read it."""
    try:
        with open(f"/usr/share/doc/{package}/copyright", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    if not re.match(r"\s*Format(-Specification)?:", text):
        return []
    names = set()
    for line in re.findall(r"^License:[ \t]*(\S.*)$", text, re.M):
        names.update(word.strip(" ,") for word in re.split(r"\s+(?:and/or|and|or)\s+|,", line))
    return sorted(name for name in names if re.fullmatch(r"[A-Za-z0-9.+-]+", name))


class Contents:
    """The files of a root file system, and whose each is."""

    def __init__(self, root):
        self.root = root
        self.owners = owners()
        self.files = {}  # path: package; Godwit's own have None

    def add(self, path, package=None):
        """A file, or a link, that came from the system."""
        package = package or self.owners.get(path)
        if package is None:
            raise SystemExit(f"sbom: no package owns {path}")
        self.files[path] = package

    def add_own(self, path):
        """A file of Godwit, or one that was written for the image."""
        self.files[path] = None

    def add_copyrights(self, licence):
        """What the licences ask for: their texts go with the files."""
        for package in sorted({name for name in self.files.values() if name}):
            source = f"/usr/share/doc/{package}/copyright"
            target = self.root + source
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.realpath(source), target)
            self.files[source] = package
        target = "/usr/share/doc/godwit/copyright"
        os.makedirs(os.path.dirname(self.root + target), exist_ok=True)
        shutil.copy(licence, self.root + target)
        self.add_own(target)

    @staticmethod
    def sbom_path(name):
        """Where an image has its list, which does not list itself."""
        return f"/usr/share/sbom/{name}.spdx.json"


def digests(path):
    with open(path, "rb") as file:
        data = file.read()
    return hashlib.sha1(data).hexdigest(), hashlib.sha256(data).hexdigest()


def spdx_id(kind, name):
    return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def file_entry(contents, path, number):
    sha1, sha256 = digests(contents.root + path)
    return {
        "SPDXID": f"SPDXRef-File-{number}",
        "fileName": "." + path,
        "checksums": [{"algorithm": "SHA1", "checksumValue": sha1},
                      {"algorithm": "SHA256", "checksumValue": sha256}],
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def declared(names, extracted):
    """A licence expression of Debian's short names; those that SPDX does not know are noted."""
    terms = set()
    for name in names:
        known = SPDX_OF_DEBIAN.get(name)
        if known is None:
            known = "LicenseRef-Debian-" + name.replace("+", "-or-later")
            extracted[known] = name
        terms.add(known)
    return " AND ".join(sorted(terms)) or "NOASSERTION"


def package_entry(info, extracted):
    """What dpkg knows of a package."""
    names = licences_of(info["name"])
    locator = (f"pkg:deb/debian/{info['name']}@{info['version'].replace('+', '%2B').replace(':', '%3A')}"
               f"?arch={info['architecture']}&distro=debian-12")
    return {
        "SPDXID": spdx_id("Package", info["name"]),
        "name": info["name"],
        "versionInfo": info["version"],
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "sourceInfo": f"Debian source package {info['source']} {info['source_version']}",
        **({"homepage": info["homepage"]} if info["homepage"] else {}),
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": declared(names, extracted),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                          "referenceLocator": locator}],
    }


def godwit_entry(version, commit):
    return {
        "SPDXID": "SPDXRef-Package-godwit-itself",
        "name": "godwit",
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "sourceInfo": f"built from commit {commit}",
        "licenseConcluded": "MIT",
        "licenseDeclared": "MIT",
        "copyrightText": "NOASSERTION",
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(contents, name, version, commit, created):
    """The whole list. Links are not in it: what they lead to is."""
    extracted = {}
    known = packages()
    entries = {None: godwit_entry(version, commit)}
    for package in sorted({owner for owner in contents.files.values() if owner}):
        entries[package] = package_entry(known[package], extracted)
    files, relations, sums = [], [], {}
    for number, path in enumerate(sorted(contents.files)):
        if os.path.islink(contents.root + path):
            continue
        entry = file_entry(contents, path, number)
        owner = contents.files[path]
        files.append(entry)
        sums.setdefault(owner, []).append(entry["checksums"][0]["checksumValue"])
        relations.append(relation(entries[owner]["SPDXID"], "CONTAINS", entry["SPDXID"]))
    for owner, entry in entries.items():  # over those files of the package that the image has
        entry["filesAnalyzed"] = owner in sums
        if owner in sums:
            code = hashlib.sha1("".join(sorted(sums[owner])).encode()).hexdigest()
            entry["packageVerificationCode"] = {"packageVerificationCodeValue": code}
    relations = [relation("SPDXRef-Image", "CONTAINS", entry["SPDXID"])
                 for entry in entries.values()] + relations
    return framed(name, version, created, extracted,
                  {"packages": list(entries.values()), "files": files, "relationships": relations})


def framed(name, version, created, extracted, body):
    """The document around packages, files and relationships, with the image that they are of."""
    image = {
        "SPDXID": "SPDXRef-Image", "name": f"image {name}", "versionInfo": version,
        "supplier": "NOASSERTION", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER", "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
    }
    body["packages"].insert(0, image)
    body["relationships"].insert(0, relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"))
    unique = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True) + created)
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/godwit-{name}-{version}-{unique}",
        "creationInfo": {"created": created, "creators": ["Tool: godwit-sbom-1"]},
        **({"hasExtractedLicensingInfos": [
            {"licenseId": key, "name": extracted[key],
             "extractedText": f"What Debian's copyright files call {extracted[key]}; the text is in "
                              "/usr/share/doc of the image."}
            for key in sorted(extracted)]} if extracted else {}),
        **body,
    }


def system_document(name, wanted, version, created):
    """The list of an image that is a whole Debian system: its packages."""
    extracted = {}
    known = packages()
    entries = [package_entry(known[package], extracted) for package in sorted(set(wanted))]
    for entry in entries:
        entry["filesAnalyzed"] = False
    relations = [relation("SPDXRef-Image", "CONTAINS", entry["SPDXID"]) for entry in entries]
    return framed(name, version, created, extracted,
                  {"packages": entries, "relationships": relations})


def save(document_, path):
    """Write the list as a file of an image."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document_, file, indent=1)
        file.write("\n")


def write_sbom(contents, name, version, commit, created):
    """Write the list into the root file system."""
    save(document(contents, name, version, commit, created),
         contents.root + contents.sbom_path(name))


def main():
    """sbom.py NAME FILE VERSION CREATED: the packages named in FILE, of this system."""
    name, listing, version, created = sys.argv[1:]
    with open(listing, encoding="utf-8") as lines:
        wanted = lines.read().split()
    save(system_document(name, wanted, version, created), Contents.sbom_path(name))


if __name__ == "__main__":
    main()
