# SPDX-License-Identifier: GPL-2.0
"""What the project holds of a target: patches, and the overlay files that they claim."""
import os
import re

from .git import Refused, decode, read
from .patch import ENDS_MESSAGE, Patch

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

# The root mixes kernel paths and our own; these are the kernel's.
LINUX_ROOTS = """arch block certs crypto Documentation drivers fs include init
io_uring ipc kernel lib LICENSES mm net rust samples scripts security sound
tools usr virt""".split()

IGNORED = re.compile(r"(~|\.pyc|\.orig|\.rej|\.swp|\.o|\.cmd)$|^\.#")


class Project:
    """One of the two targets, linux and qemu."""

    def __init__(self, name, args):
        self.name = name
        self.top = os.path.realpath(args.top or TOP)
        out = os.environ.get("KVM_SEV_OUT") or os.path.join(self.top, "out")
        if args.top:
            out = os.path.join(self.top, "out")
        self.cache = os.environ.get("KVM_SEV_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "kvm-sev")
        if args.top:
            self.cache = os.path.join(self.top, "cache")
        if name == "linux":
            self.root = self.top
            self.roots = LINUX_ROOTS
            self.prefix = ""
            self.series_out = os.path.join(out, "series")
        else:
            self.root = os.path.join(self.top, "qemu")
            self.roots = None
            self.prefix = "qemu/"
            self.series_out = os.path.join(out, "series-qemu")
        self.patches = os.path.join(self.root, "patches")
        self.tree = os.path.join(out, "tree", name)

    def overlay_files(self):
        roots = self.roots
        if roots is None:
            roots = sorted(os.listdir(self.root)) if os.path.isdir(self.root) else []
        for r in roots:
            path = os.path.join(self.root, r)
            if r == "patches" or IGNORED.search(r):
                continue
            if os.path.isfile(path):
                yield r
            for where, dirs, files in os.walk(path):
                dirs[:] = sorted(d for d in dirs if d != "__pycache__" and d != ".git")
                for f in sorted(files):
                    if not IGNORED.search(f):
                        yield os.path.relpath(os.path.join(where, f), self.root)

    def series_names(self):
        path = os.path.join(self.patches, "series")
        if not os.path.exists(path):
            return []
        names = [l.split("#")[0].strip() for l in decode(read(path)).splitlines()]
        return [n for n in names if n]

    def load(self):
        patches = []
        for name in self.series_names():
            path = os.path.join(self.patches, name)
            if not os.path.exists(path):
                raise Refused("%spatches/series names %s, which is not there" % (self.prefix, name))
            patches.append(Patch.parse(self.prefix + "patches/" + name, read(path)))
            patches[-1].name = name
        return patches

    def check_claims(self, patches):
        errors, claimed = [], {}
        for p in patches:
            errors += self.claim(p, claimed)
        for f in self.overlay_files():
            if f not in claimed:
                errors.append("%s%s is claimed by no patch: add 'overlay: %s' below the "
                              "'---' of the patch that brings it" % (self.prefix, f, f))
        for p in patches:
            errors += self.check_diff(p, claimed)
        errors += self.unlisted(patches)
        if self.name == "linux":
            errors += self.check_stanza(patches)
        if errors:
            raise Refused("\n       ".join(errors))

    def claim(self, p, claimed):
        """Complaints about the patch itself; @claimed learns what it claims."""
        errors = []
        where = "%spatches/%s" % (self.prefix, p.name)
        for f in p.overlay:
            if f in claimed:
                errors.append("%s%s is claimed twice: by %s and by %s" %
                              (self.prefix, f, claimed[f], p.name))
                continue
            claimed[f] = p.name
            if not os.path.isfile(os.path.join(self.root, f)):
                errors.append("%s claims %s%s, which is not there" % (where, self.prefix, f))
        if ENDS_MESSAGE.search(p.message):
            errors.append("%s: a line of the message would end it for 'git am' "
                          "('---', 'diff -' or 'Index: ' at its start)" % where)
        if not p.overlay and not p.diff:
            errors.append("%s brings nothing: no overlay: line and no diff" % where)
        return errors

    def check_diff(self, p, claimed):
        errors = []
        for f, new in p.touches():
            if f in claimed:
                errors.append("%spatches/%s changes %s, which %s brings as overlay: "
                              "an overlay file is born whole" %
                              (self.prefix, p.name, f, claimed[f]))
            elif new:
                errors.append("%spatches/%s creates %s in its diff: put the file at "
                              "%s%s and claim it" % (self.prefix, p.name, f, self.prefix, f))
        return errors

    def unlisted(self, patches):
        listed = {p.name for p in patches}
        files = sorted(os.listdir(self.patches)) if os.path.isdir(self.patches) else []
        return ["%spatches/%s is not in %spatches/series" % (self.prefix, f, self.prefix)
                for f in files if f.endswith(".patch") and f not in listed]

    def check_stanza(self, patches):
        """The root MAINTAINERS is the stanza that the series adds to the kernel's."""
        path = os.path.join(self.root, "MAINTAINERS")
        added, touched = [], False
        for p in patches:
            if "MAINTAINERS" not in [f for f, _ in p.touches()]:
                continue
            touched = True
            chunk = decode(p.diff).partition("diff --git a/MAINTAINERS ")[2]
            chunk = chunk.partition("\n@@")[2].partition("\ndiff --git ")[0]
            added += [l[1:] for l in chunk.split("\n") if l.startswith("+")]
        if not touched:
            return []
        if not os.path.exists(path) or \
           [l for l in decode(read(path)).splitlines() if l] != [l for l in added if l]:
            return ["MAINTAINERS at the root is not the stanza that the series adds"]
        return []
