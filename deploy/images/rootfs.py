#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Root file systems for Godwit's images, each with a program and the files that it loads.

Runs in the image that compiled the programs. What is linked is asked of ldd; what is loaded later,
by name, stands in LOADED. For each image <output>/<name>/ is made, with its SBOM in it, and a copy
of that in <output>/sbom/.
"""
import argparse
import os
import shutil
import subprocess
import sys

from sbom import Contents, merged, write_sbom

UID = 65532
LIBS = "/usr/lib/x86_64-linux-gnu"
# libcurl and libpq are loaded when they are first used (dlopen), libgcc_s by the C library when a
# thread ends itself; the legacy provider opens old PKCS#12 keystores.
LOADED = ["libgcc_s.so.1", "libcurl.so.4", "libpq.so.5", "ossl-modules/legacy.so"]
GIT = ["/usr/bin/git", "/usr/lib/git-core/git", "/usr/lib/git-core/git-remote-http",
       "/usr/lib/git-core/git-remote-https", "/usr/bin/ssh"]
COMMON = ["/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/usr/lib/ssl/certs"]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
IMAGES = {
    "healthchecker": ([], []),
    "accountservice": (LOADED, COMMON),
    "vipservice": (LOADED, COMMON),
    "godwit": (LOADED, COMMON),
    "configserver": (LOADED, COMMON + GIT),
}


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def linked(path):
    """The files that the loader maps for this one; a missing library is an error."""
    output = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    found = set()
    for line in output.splitlines():
        words = line.split()
        if "not found" in line:
            sys.exit(f"rootfs: {path} needs {words[0]}, which is not installed")
        if "=>" in words:
            found.add(words[words.index("=>") + 1])
        elif words and words[0].startswith("/"):
            found.add(words[0])
    return found


def copy(root, path):
    """Copy a file of the system with the links that lead to it. Returns the paths made."""
    made = []
    while True:
        path = merged(path)
        target = root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        made.append(path)
        if not os.path.islink(path):
            if not os.path.exists(target):
                shutil.copy2(path, target)
            return made
        link = os.readlink(path)
        if not os.path.lexists(target):
            os.symlink(link, target)
        path = os.path.normpath(os.path.join(os.path.dirname(path), link))
        if os.path.isdir(path):
            return made


def write(root, path, text):
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    with open(root + path, "w", encoding="utf-8") as file:
        file.write(text)


def add_system(root, contents, with_certificates):
    """What every program expects of a system, without any package's scripts."""
    for name in ("lib", "lib64"):
        os.makedirs(f"{root}/usr/{name}", exist_ok=True)
        os.symlink(f"usr/{name}", f"{root}/{name}")
    # As everywhere: a tmpfs that is mounted there takes the mode over.
    os.mkdir(f"{root}/tmp")
    os.chmod(f"{root}/tmp", 0o1777)
    own = {
        "/etc/passwd": f"root:x:0:0:root:/:/nologin\ngodwit:x:{UID}:{UID}:Godwit:/var/lib/godwit:/nologin\n",
        "/etc/group": f"root:x:0:\ngodwit:x:{UID}:\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for path, text in own.items():
        write(root, path, text)
        contents.add_own(path)
    if with_certificates:
        copy(root, CERTIFICATES)
        contents.add(CERTIFICATES, package="ca-certificates")


def make(name, args):
    root = os.path.join(args.output, name)
    loaded, files = IMAGES[name]
    contents = Contents(root)
    os.makedirs(root)
    add_system(root, contents, bool(loaded))
    programs = {name, "healthchecker"} if name != "godwit" else {name}
    wanted = list(files)
    for program in sorted(programs):
        target = f"{root}/usr/bin/{program}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        source = os.path.join(args.bin, program)
        subprocess.run(["strip", "-o", target, source], check=True)
        contents.add_own(f"/usr/bin/{program}")
        wanted += linked(source)
    for library in loaded:
        path = os.path.join(LIBS, library)
        if os.path.exists(path):
            wanted.append(path)
        else:
            print(f"rootfs: {name}: {library} is not installed, and left out")
    for path in list(wanted):
        real = os.path.realpath(path)
        if os.path.isfile(real) and is_elf(real):
            wanted += linked(real)
    for path in sorted(set(wanted)):
        for made in copy(root, path):
            contents.add(made)
    contents.add_copyrights(args.license)
    write_sbom(contents, name, args.version, args.commit, args.created)
    os.makedirs(f"{args.output}/sbom", exist_ok=True)
    shutil.copy(f"{root}{contents.sbom_path(name)}", f"{args.output}/sbom/")
    size = sum(os.lstat(os.path.join(folder, file)).st_size
               for folder, _, names in os.walk(root) for file in names)
    print(f"rootfs: {name}: {size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("--bin", "--version", "--commit", "--created", "--output"):
        parser.add_argument(option, required=True)
    parser.add_argument("--license", default="LICENSE")
    args = parser.parse_args()
    os.umask(0o022)
    os.makedirs(os.path.join(args.output, "empty"))
    for name in IMAGES:
        make(name, args)


if __name__ == "__main__":
    main()
