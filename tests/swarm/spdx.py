# SPDX-License-Identifier: MIT
"""What SPDX 2.3 asks of a document in JSON, as far as ours use it; faults() is empty for a valid one."""
import hashlib
import re

ID = re.compile(r"SPDXRef-[A-Za-z0-9.-]+")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CREATOR = re.compile(r"(Tool|Organization|Person): \S.*")
SUPPLIER = re.compile(r"NOASSERTION|(Organization|Person): \S.*")
TERM = re.compile(r"[A-Za-z0-9.-]+")
DIGITS = {"SHA1": 40, "SHA256": 64}
KINDS = {"DESCRIBES", "CONTAINS"}
DOCUMENT = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT"}
PACKAGE = ("SPDXID", "name", "downloadLocation", "filesAnalyzed", "licenseConcluded",
           "licenseDeclared", "copyrightText", "versionInfo")


def _of_licences(text, extracted):
    """What is wrong with an expression of licences, joined with AND."""
    for term in text.split(" AND "):
        if not TERM.fullmatch(term):
            yield f"'{term}' is no licence"
        elif term.startswith("LicenseRef-") and term not in extracted:
            yield f"'{term}' is not explained"


def _of_package(package, extracted):
    name = package.get("name")
    for field in PACKAGE:
        if field not in package:
            yield f"package {name} has no {field}"
            return
    if not SUPPLIER.fullmatch(package.get("supplier", "NOASSERTION")):
        yield f"package {name}: supplier {package['supplier']}"
    if package["filesAnalyzed"] != ("packageVerificationCode" in package):
        yield f"package {name}: a verification code goes with files that were analyzed"
    for reference in package.get("externalRefs", []):
        if reference["referenceType"] != "purl" or not re.fullmatch(
                r"pkg:deb/debian/[a-z0-9.+-]+@[^@\s]+", reference["referenceLocator"]):
            yield f"package {name}: {reference['referenceLocator']}"
    for field in ("licenseConcluded", "licenseDeclared"):
        yield from _of_licences(package[field], extracted)


def _of_file(entry):
    if not entry.get("fileName", "").startswith("./"):
        yield f"file {entry.get('fileName')}: not below ./"
    sums = {each["algorithm"]: each["checksumValue"] for each in entry.get("checksums", [])}
    if "SHA1" not in sums:
        yield f"file {entry.get('fileName')} has no SHA1"
    for algorithm, value in sums.items():
        if not re.fullmatch(f"[0-9a-f]{{{DIGITS[algorithm]}}}", value):
            yield f"file {entry['fileName']}: {algorithm} {value}"
    for field in ("licenseConcluded", "copyrightText"):
        if field not in entry:
            yield f"file {entry['fileName']} has no {field}"


def _of_relations(document, ids):
    for each in document["relationships"]:
        if each["relationshipType"] not in KINDS:
            yield f"relationship {each['relationshipType']}"
        for end in (each["spdxElementId"], each["relatedSpdxElement"]):
            if end not in ids:
                yield f"a relationship with {end}, which is not there"
    described = [each for each in document["relationships"] if each["relationshipType"] == "DESCRIBES"]
    if len(described) != 1 or described[0]["spdxElementId"] != "SPDXRef-DOCUMENT":
        yield "the document has to describe one element"


def _of_codes(document):
    """Whether each package's verification code is that of the files it contains."""
    sums = {entry["SPDXID"]: entry["checksums"][0]["checksumValue"]
            for entry in document.get("files", [])}
    for package in document["packages"]:
        if package["filesAnalyzed"]:
            own = sorted(sums[each["relatedSpdxElement"]] for each in document["relationships"]
                         if each["spdxElementId"] == package["SPDXID"]
                         and each["relatedSpdxElement"] in sums)
            code = hashlib.sha1("".join(own).encode()).hexdigest()
            if code != package["packageVerificationCode"]["packageVerificationCodeValue"]:
                yield f"package {package['name']}: its verification code is another one"


def faults(document):
    """Lines, one for each thing that is wrong."""
    found = [f"{field} is not {value}" for field, value in DOCUMENT.items()
             if document.get(field) != value]
    for field in ("name", "documentNamespace", "creationInfo", "packages", "relationships"):
        if not document.get(field):
            return [*found, f"there is no {field}"]
    if not re.fullmatch(r"https://[^#\s]+", document["documentNamespace"]):
        found.append(f"documentNamespace {document['documentNamespace']}")
    info = document["creationInfo"]
    if not TIME.fullmatch(info.get("created", "")):
        found.append(f"created {info.get('created')}")
    found += [f"creator {each}" for each in info.get("creators") or ["none"]
              if not CREATOR.fullmatch(each)]
    extracted = {each["licenseId"]: each["extractedText"]
                 for each in document.get("hasExtractedLicensingInfos", [])}
    for package in document["packages"]:
        found += _of_package(package, extracted)
    for entry in document.get("files", []):
        found += _of_file(entry)
    ids = [document["SPDXID"], *(each["SPDXID"] for each in
                                 document["packages"] + document.get("files", []))]
    found += [f"{each} is there twice" for each in sorted(set(ids)) if ids.count(each) > 1]
    found += [f"'{each}' is no identifier" for each in ids if not ID.fullmatch(each)]
    found += _of_relations(document, set(ids))
    return found or list(_of_codes(document))
