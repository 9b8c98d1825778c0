#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""testbed/series on a toy tree: is each verb the inverse of the other, and is
what must be refused refused?  Prints KTAP; no kernel tree, no network."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "series")

MAIL = """From: A Developer <a@example.org>
Date: Sat, 21 Nov 2026 02:00:00 +0000
Subject: [PATCH] %s

Why it is needed: \u00fcber.

Signed-off-by: A Developer <a@example.org>
---
%s
%s"""

HOOK = """diff --git a/arch/Makefile b/arch/Makefile
--- a/arch/Makefile
+++ b/arch/Makefile
@@ -1,3 +1,4 @@
 obj-y += one.o
+obj-y += new.o
 obj-y += two.o
 obj-y += three.o
"""

LATER = """diff --git a/arch/Makefile b/arch/Makefile
--- a/arch/Makefile
+++ b/arch/Makefile
@@ -4,3 +4,3 @@
 obj-y += three.o
-obj-y += four.o
+obj-y += five.o
 obj-y += six.o
"""


class SeriesTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.base = self.dir + "/toy-1.0"
        self.top = self.dir + "/top"
        self.tree = self.top + "/out/tree/linux"
        self.write(self.base + "/arch/Makefile",
                   "".join("obj-y += %s.o\n" % n for n in "one two three four six seven".split()))
        self.write(self.base + "/MAINTAINERS", "LIST\n")
        self.write(self.base + "/arch/untouched.c", "int untouched;\n")
        self.write(self.top + "/arch/new.c", "int new;\n")
        self.write(self.top + "/arch/sub/run.sh", "#!/bin/sh\n", 0o755)
        self.write(self.top + "/arch/third.c", "int third;\n")
        self.patch("0001-toy-Add-new.patch", "toy: Add new",
                   "overlay: arch/new.c\noverlay: arch/sub/run.sh\n", HOOK)
        self.patch("0002-toy-Change-four.patch", "toy: Change four", "", LATER)
        self.patch("0003-toy-Add-third.patch", "toy: Add third", "overlay: arch/third.c", "")
        self.write(self.top + "/patches/series",
                   "# review order\n0001-toy-Add-new.patch\n0002-toy-Change-four.patch\n"
                   "0003-toy-Add-third.patch\n")
        self.write(self.top + "/patches/cover.txt", "A toy series\n\nIt does little, in patch @{Change four}.\n")

    def write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def read(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def patch(self, name, subject, below, diff):
        self.write(self.top + "/patches/" + name, MAIL % (subject, below, diff))

    def edit(self, path, old, new):
        text = self.read(path)
        self.assertIn(old, text)
        self.write(path, text.replace(old, new))

    def series(self, *args, ok=True):
        r = subprocess.run([TOOL, "linux", *args, "--top", self.top, "--base-dir", self.base],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(r.returncode, 0 if ok else 1, r.stdout + r.stderr)
        self.assertNotIn("Traceback", r.stderr)
        return r.stdout if ok else r.stderr

    def git(self, *args, tree=None):
        env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
                   GIT_AUTHOR_NAME="B", GIT_AUTHOR_EMAIL="b@example.org",
                   GIT_COMMITTER_NAME="B", GIT_COMMITTER_EMAIL="b@example.org")
        return subprocess.run(["git", "-C", tree or self.tree, *args], check=True, env=env,
                              stdout=subprocess.PIPE, universal_newlines=True,
                              stderr=subprocess.PIPE).stdout

    def project(self):
        found = {}
        for where, dirs, files in os.walk(self.top):
            dirs[:] = [d for d in dirs if d not in ("out", "cache")]
            for f in files:
                path = os.path.join(where, f)
                found[os.path.relpath(path, self.top)] = self.read(path), os.stat(path).st_mode
        return found

    def test_round_trip_is_stable(self):
        self.series("assemble")
        self.series("refresh")      # normalizes the hand-written mails
        before = self.project()
        self.assertEqual(before["arch/sub/run.sh"][1] & 0o111, 0o111)
        self.assertTrue(before["patches/series"][0].startswith("# review order\n"))
        self.series("assemble")
        self.assertIn("0 changed", self.series("refresh"))
        self.assertEqual(before, self.project())

    def test_assembled_tree_is_complete(self):
        self.series("assemble")
        self.assertEqual(self.read(self.tree + "/arch/new.c"), "int new;\n")
        self.assertIn("new.o", self.read(self.tree + "/arch/Makefile"))
        self.assertEqual(len(self.git("log", "--oneline", "base..").splitlines()), 3)
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_assemble_leaves_unchanged_files_alone(self):
        self.series("assemble")
        files = ("arch/Makefile", "arch/untouched.c", "arch/new.c", "arch/third.c")
        for f in files:
            os.utime(self.tree + "/" + f, (10 ** 9, 10 ** 9))
        self.write(self.top + "/arch/new.c", "int newer;\n")
        self.series("assemble")
        self.assertEqual(self.read(self.tree + "/arch/new.c"), "int newer;\n")
        stamps = [os.stat(self.tree + "/" + f).st_mtime for f in files]
        self.assertEqual([s == 10 ** 9 for s in stamps], [True, True, False, True])

    def test_what_was_built_is_no_less_than_new(self):
        """Commits are kept from one run to the next: no change may be overlooked."""
        third = self.top + "/patches/0003-toy-Add-third.patch"
        changes = [lambda: None, lambda: self.write(self.top + "/arch/third.c", "int 3rd;\n"),
                   lambda: os.chmod(self.top + "/arch/new.c", 0o755),
                   lambda: self.edit(third, "Why it", "How it"),
                   lambda: self.edit(third, "02:00:00", "03:00:00"),
                   lambda: self.edit(self.top + "/patches/0001-toy-Add-new.patch", "new.o", "neu.o"),
                   lambda: self.edit(self.top + "/patches/series", "0003-toy-Add-third.patch\n", "")]
        seen = set()
        for change in changes:
            change()
            if change is changes[-1]:
                os.unlink(third)
                os.unlink(self.top + "/arch/third.c")
            kept = self.series("commit")
            self.assertEqual(kept, self.series("commit"))
            os.unlink(self.tree + "/.git/kvm-sev-built")
            self.assertEqual(kept, self.series("commit"))
            seen.add(kept)
        self.assertEqual(len(seen), len(changes))

    def test_overlay_edited_in_tree_comes_back(self):
        self.series("assemble")
        self.write(self.tree + "/arch/third.c", "int edited;\n")
        self.series("assemble", ok=False)
        self.series("refresh")
        self.assertEqual(self.read(self.top + "/arch/third.c"), "int edited;\n")
        self.series("assemble")

    def test_fixup_comes_back(self):
        self.series("assemble")
        self.write(self.tree + "/arch/new.c", "int fixed;\n")
        self.edit(self.tree + "/arch/Makefile", "new.o", "new2.o")
        first = self.git("rev-list", "--reverse", "base..").split()[0]
        self.git("commit", "-qa", "--fixup", first)
        self.git("-c", "sequence.editor=:", "rebase", "-q", "-i", "--autosquash", "base")
        self.series("refresh")
        self.assertEqual(self.read(self.top + "/arch/new.c"), "int fixed;\n")
        self.assertIn("+obj-y += new2.o", self.read(self.top + "/patches/0001-toy-Add-new.patch"))

    def test_new_commit_comes_back(self):
        self.series("assemble")
        self.write(self.tree + "/arch/fourth.c", "int fourth;\n")
        self.edit(self.tree + "/arch/Makefile", "two.o", "zwei.o")
        self.git("add", "-A")
        self.git("commit", "-qm", "toy: Add fourth\n\nSaid why.")
        self.series("refresh")
        mail = self.read(self.top + "/patches/0004-toy-Add-fourth.patch")
        self.assertIn("overlay: arch/fourth.c\n", mail)
        self.assertIn("+obj-y += zwei.o\n", mail)
        self.assertEqual(self.read(self.top + "/arch/fourth.c"), "int fourth;\n")

    def test_dropped_commit_takes_its_overlay_along(self):
        self.series("assemble")
        self.git("reset", "-q", "--hard", "HEAD^")
        self.series("refresh")
        self.assertFalse(os.path.exists(self.top + "/arch/third.c"))
        self.assertFalse(os.path.exists(self.top + "/patches/0003-toy-Add-third.patch"))

    def test_both_sides_edited_is_refused(self):
        self.series("assemble")
        self.write(self.tree + "/arch/third.c", "int there;\n")
        self.write(self.top + "/arch/third.c", "int here;\n")
        self.assertIn("arch/third.c", self.series("assemble", ok=False))
        self.assertIn("arch/third.c", self.series("refresh", ok=False))
        self.assertEqual(self.read(self.top + "/arch/third.c"), "int here;\n")

    def test_unrefreshed_commit_is_not_overwritten(self):
        self.series("assemble")
        self.edit(self.tree + "/arch/Makefile", "two.o", "zwei.o")
        self.git("commit", "-qam", "toy: Change two")
        self.assertIn("commits of its own", self.series("assemble", ok=False))
        self.assertIn("commits", self.series("status", ok=False))
        self.series("assemble", "--discard")
        self.series("status")

    def test_unclaimed_refused(self):
        self.write(self.top + "/arch/stray.c", "int stray;\n")
        self.assertIn("arch/stray.c is claimed by no patch", self.series("check-claims", ok=False))
        self.series("assemble", ok=False)

    def test_twice_claimed_refused(self):
        self.patch("0003-toy-Add-third.patch", "toy: Add third",
                   "overlay: arch/third.c\noverlay: arch/new.c", "")
        self.assertIn("arch/new.c is claimed twice", self.series("check-claims", ok=False))

    def test_claimed_but_absent_refused(self):
        os.unlink(self.top + "/arch/third.c")
        self.assertIn("which is not there", self.series("check-claims", ok=False))

    def test_claim_of_a_base_file_refused(self):
        self.write(self.top + "/arch/untouched.c", "int mine;\n")
        self.patch("0003-toy-Add-third.patch", "toy: Add third",
                   "overlay: arch/third.c\noverlay: arch/untouched.c", "")
        self.assertIn("a file of the base", self.series("assemble", ok=False))

    def test_overlay_changed_later_refused(self):
        self.patch("0002-toy-Change-four.patch", "toy: Change four", "",
                   LATER.replace("arch/Makefile", "arch/new.c"))
        self.assertIn("changes arch/new.c", self.series("check-claims", ok=False))

    def test_new_file_in_diff_refused(self):
        self.patch("0002-toy-Change-four.patch", "toy: Change four", "",
                   "diff --git a/arch/x.c b/arch/x.c\nnew file mode 100644\n--- /dev/null\n"
                   "+++ b/arch/x.c\n@@ -0,0 +1 @@\n+int x;\n")
        self.assertIn("creates arch/x.c", self.series("check-claims", ok=False))

    def test_unlisted_patch_refused(self):
        self.patch("0009-forgotten.patch", "toy: Forgotten", "", LATER)
        self.assertIn("0009-forgotten.patch is not in", self.series("check-claims", ok=False))

    def test_failing_hunk_is_named(self):
        self.edit(self.base + "/arch/Makefile", "four.o", "vier.o")
        err = self.series("assemble", ok=False)
        self.assertIn("0002-toy-Change-four.patch does not apply to toy-1.0", err)
        self.assertIn("hunk 1 of 1 in arch/Makefile", err)
        self.assertIn("-obj-y += four.o", err)

    def test_git_am_is_identical(self):
        self.series("assemble")
        self.assertIn("byte for byte", self.series("verify"))
        plain = self.dir + "/plain"
        shutil.copytree(self.base, plain)
        self.git("init", "-q", tree=plain)
        self.git("add", "-A", tree=plain)
        self.git("commit", "-qm", "base", tree=plain)
        out = self.top + "/out/series"
        self.git("am", "-q", *sorted(os.path.join(out, f) for f in os.listdir(out)
                                     if f.endswith(".patch")), tree=plain)
        self.assertEqual(self.git("rev-parse", "HEAD^{tree}", tree=plain),
                         self.git("rev-parse", "HEAD^{tree}"))
        cover = self.read(out + "/0000-cover-letter.txt")
        self.assertIn("A toy series", cover)
        self.assertIn("It does little, in patch 2.", cover)
        self.assertIn("base-commit:", cover)

    def test_cover_without_its_patch_refused(self):
        for words in ("Add", "nonsense"):       # two patches, and none
            self.write(self.top + "/patches/cover.txt", "A series\n\nSee @{%s}.\n" % words)
            self.assertIn("'%s' in the subject, not one" % words, self.series("export", ok=False))

    def test_import_of_a_branch(self):
        self.series("assemble")
        other = self.dir + "/other"
        shutil.copytree(self.base, other)
        self.git("init", "-q", tree=other)
        self.git("add", "-A", tree=other)
        self.git("commit", "-qm", "base", tree=other)
        self.git("branch", "base", tree=other)
        self.write(other + "/arch/dev.c", "int dev;\n")
        self.edit(other + "/arch/Makefile", "two.o", "dev.o")
        self.git("add", "-A", tree=other)
        self.git("commit", "-qm", "toy: Add dev", tree=other)
        self.write(other + "/arch/dev.c", "int dev = 1;\n")
        self.git("commit", "-qam", "toy: Correct dev", tree=other)
        args = "refresh", "--from", other, "--base", "base", "--head", "HEAD"
        err = self.series(*args, ok=False)
        self.assertIn("toy: Add dev", err)
        self.assertIn("toy: Correct dev", err)
        self.assertTrue(os.path.exists(self.top + "/arch/new.c"))
        self.series(*args, "--fold-overlay")
        self.write(self.top + "/patches/cover.txt", "Another series\n\nIt develops.\n")
        self.assertEqual(self.read(self.top + "/arch/dev.c"), "int dev = 1;\n")
        self.assertFalse(os.path.exists(self.top + "/arch/new.c"))
        self.series("verify")

    def test_empty_series(self):
        shutil.rmtree(self.top)
        os.makedirs(self.top)
        for verb in ("check-claims", "assemble", "export", "verify", "list"):
            self.series(verb)

    def test_message_that_git_am_would_cut_refused(self):
        self.edit(self.top + "/patches/0002-toy-Change-four.patch", "Why it", "Index: it")
        self.assertIn("git am", self.series("check-claims", ok=False))


def run(test):
    result = unittest.TestResult()
    test.run(result)
    return test._testMethodName.replace("test_", "", 1), result.failures + result.errors


if __name__ == "__main__":
    tests = list(unittest.defaultTestLoader.loadTestsFromTestCase(SeriesTest))
    print("KTAP version 1\n1..%d" % len(tests), flush=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for n, (name, why) in enumerate(pool.map(run, tests), 1):
            for _, trace in why:
                print("".join("# %s\n" % l for l in trace.splitlines()), end="")
            print("%s %d series.%s" % ("not ok" if why else "ok", n, name), flush=True)
            failed += bool(why)
    sys.exit(1 if failed else 0)
