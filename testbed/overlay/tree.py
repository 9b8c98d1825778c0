# SPDX-License-Identifier: GPL-2.0
"""The assembled tree: the base as a git repository, and one commit per patch on it."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

from .git import Git, Refused, commit_tree, decode, encode, read, write_if_changed
from .patch import fingerprint
from .project import TOP, Project

BASE_DATE = "@946684800 +0000"


class Tree(Project):
    """out/tree/linux or out/tree/qemu."""

    def __init__(self, name, args):
        super().__init__(name, args)
        self.base_dir = args.base_dir
        self._base = None

    def base_source(self):
        if self.base_dir:
            return os.path.realpath(self.base_dir)
        r = subprocess.run([os.path.join(TOP, "testbed", "fetch"), self.name],
                           stdout=subprocess.PIPE)
        if r.returncode:
            raise Refused("the base source of %s could not be had" % self.name)
        return os.path.realpath(decode(r.stdout).strip().split("\n")[-1])

    def base(self):
        """(git directory, commit, label) of the pristine base."""
        if not self._base:
            source = self.base_source()
            label = os.path.basename(source)
            gitdir = os.path.join(self.cache, "git", label + ".git")
            done = os.path.join(gitdir, "kvm-sev-base")
            if not os.path.exists(done):
                self.make_base(source, label, gitdir)
            self._base = gitdir, decode(read(done)).strip(), label
        return self._base

    @staticmethod
    def make_base(source, label, gitdir):
        """All of the base as one commit, whole or not there at all."""
        os.makedirs(os.path.dirname(gitdir), exist_ok=True)
        tmp = tempfile.mkdtemp(prefix=label + ".", dir=os.path.dirname(gitdir))
        print("making a git repository of %s (once)" % label, file=sys.stderr)
        git = Git(tmp, source)
        git.run("init", "-q", tmp, env={"GIT_TEMPLATE_DIR": ""})
        git.run("config", "core.bare", "true")
        git.run("-c", "core.autocrlf=false", "-c", "core.bare=false", "-c", "core.compression=1",
                "-c", "gc.auto=0", "add", "-A", "-f", ".")
        commit = commit_tree(git, git.out("write-tree"), None,
                             "%s as Debian ships it\n" % label,
                             "kvm-sev", "kvm-sev@invalid", BASE_DATE)
        git.run("update-ref", "refs/heads/base", commit)
        os.unlink(os.path.join(tmp, "index"))
        with open(os.path.join(tmp, "kvm-sev-base"), "w") as f:
            f.write(commit + "\n")
        if os.path.exists(gitdir):
            shutil.rmtree(gitdir)
        os.chmod(tmp, 0o755)
        os.rename(tmp, gitdir)

    def git(self, index=None):
        """The assembled tree's repository; its base objects are the cache's."""
        gitdir = os.path.join(self.tree, ".git")
        if not os.path.isdir(gitdir):
            os.makedirs(self.tree, exist_ok=True)
            git = Git(gitdir, self.tree)
            git.run("init", "-q", env={"GIT_TEMPLATE_DIR": ""})
            for key, value in (("core.autocrlf", "false"), ("gc.auto", "0"),
                               ("core.preloadIndex", "true"), ("core.untrackedCache", "false")):
                git.run("config", key, value)
        base = self.base()
        alternates = os.path.join(gitdir, "objects", "info", "alternates")
        write_if_changed(alternates, encode(os.path.join(base[0], "objects") + "\n"))
        return Git(gitdir, self.tree, index)

    def build(self, patches):
        """Commit every patch on the base, in the object store alone: the commits.  Those
        before the first patch that is new or not as it was are there already."""
        _, base, label = self.base()
        keys = self.keys(base, patches)
        commits = self.built(keys)
        if len(commits) < len(patches):
            with tempfile.TemporaryDirectory() as tmp:
                git = self.git(os.path.join(tmp, "index"))
                git.run("read-tree", commits[-1] if commits else base)
                known = set(git.out("ls-tree", "-r", "--name-only", base).split("\n"))
                for p in patches[len(commits):]:
                    parent = commits[-1] if commits else base
                    commits.append(self.commit_patch(git, p, parent, known, label))
            write_if_changed(self.built_path(), encode("".join(
                "%s %s\n" % pair for pair in zip(keys, commits))))
        return commits

    def commit_patch(self, git, p, parent, known, label):
        if p.diff:
            r = git.run("apply", "--cached", "--whitespace=nowarn", "-", data=p.diff, check=False)
            if r.returncode:
                raise Refused(self.explain(p, decode(r.stderr), label))
        info = []
        for f in p.overlay:
            if f in known:
                raise Refused("%s claims %s, a file of the base (%s): change it "
                              "by a diff" % (p.name, f, label))
            sha = git.out("hash-object", "-w", "--no-filters", "--", os.path.join(self.root, f))
            info.append("%s %s\t%s\n" % (self.mode(f), sha, f))
        if info:
            git.run("update-index", "--add", "--index-info", data=encode("".join(info)))
        m = re.match(r"(.*?)\s*<(.*)>\s*$", p.author)
        if not m:
            raise Refused("%s: From: is not 'Name <address>'" % p.name)
        return commit_tree(git, git.out("write-tree"), parent, p.commit_message(),
                           m.group(1).strip('"'), m.group(2), p.date)

    def mode(self, f):
        return "100755" if os.stat(os.path.join(self.root, f)).st_mode & 0o100 else "100644"

    def keys(self, base, patches):
        """For each patch a hash of all that its commit is made of, parents included."""
        keys, h = [], hashlib.sha256(encode(base))
        for p in patches:
            parts = [("mail", p.mail())]
            parts += [(self.mode(f), read(os.path.join(self.root, f))) for f in p.overlay]
            for what, data in parts:
                h.update(encode("%s %d\n" % (what, len(data))) + data)
            keys.append(h.hexdigest())
        return keys

    def built_path(self):
        return os.path.join(self.tree, ".git", "kvm-sev-built")

    def built(self, keys):
        """The commits that were built before, as far as the hashes are the same."""
        path, commits = self.built_path(), []
        before = decode(read(path)).splitlines() if os.path.exists(path) else []
        for key, line in zip(keys, before):
            if line.split()[0] != key:
                break
            commits.append(line.split()[1])
        return commits if commits and self.git().has(commits[-1]) else []

    def explain(self, patch, stderr, label):
        """Name the patch and the hunk that does not apply."""
        lines = ["%spatches/%s does not apply to %s" % (self.prefix, patch.name, label)]
        for m in re.finditer(r"^error: patch failed: (.*):(\d+)$", stderr, re.M):
            path, line = m.group(1), m.group(2)
            chunk = re.search(r"^diff --git a/%s .*?(?=^diff --git |\Z)" % re.escape(path),
                              decode(patch.diff), re.M | re.S)
            hunks = re.split(r"^(?=@@ )", chunk.group(0), flags=re.M)[1:] if chunk else []
            for n, hunk in enumerate(hunks, 1):
                if re.match(r"@@ -%s[ ,]" % line, hunk):
                    lines.append("hunk %d of %d in %s:" % (n, len(hunks), path))
                    lines += ["  " + l for l in hunk.rstrip("\n").split("\n")]
                    break
            else:
                lines.append("%s, at line %s" % (path, line))
        if len(lines) == 1:
            lines += [l for l in stderr.strip().split("\n")]
        return "\n       ".join(lines)

    def state(self, git):
        """The commit that the tree was last assembled to, or None."""
        path = os.path.join(self.tree, ".git", "kvm-sev-assembled")
        commit = (decode(read(path)).split() or [None])[0] if os.path.exists(path) else None
        return commit if commit and git.has(commit) else None

    def set_state(self, commit, patches):
        with open(os.path.join(self.tree, ".git", "kvm-sev-assembled"), "w") as f:
            f.write("%s\n%s\n" % (commit, fingerprint(patches)))

    def assembled_patches(self):
        """The fingerprint of the patches that the tree was last assembled from."""
        return decode(read(os.path.join(self.tree, ".git", "kvm-sev-assembled"))).split()[-1]

    def dirty(self, git):
        out = git.out("diff-index", "--name-only", "HEAD") if git.run(
            "update-index", "-q", "--refresh", check=False) else ""
        return [l for l in out.split("\n") if l]

    def assemble(self, discard=False):
        patches = self.load()
        self.check_claims(patches)
        commits = self.build(patches)
        new = commits[-1] if commits else self.base()[1]
        git = self.git()
        old = self.state(git)
        head = git.run("rev-parse", "-q", "--verify", "HEAD", check=False)
        head = decode(head.stdout).strip() if not head.returncode else None
        if old is None:
            print("unpacking %s to %s" % (self.base()[2], self.tree), file=sys.stderr)
            git.run("read-tree", "--reset", "-u", new)
        else:
            mine = [] if discard else self.dirty(git)
            if not discard and head != old:
                raise Refused("%s has commits of its own: '%s refresh' brings them into the "
                              "project ('assemble --discard' drops them)" % (self.tree, self.command()))
            if mine:
                if all(self.same_as_project(f, patches) for f in mine):
                    discard = True      # edited here and there alike
                else:
                    raise Refused("%s has edits that are not in the project: %s\n       commit them "
                                  "there and run '%s refresh' ('assemble --discard' drops them)" %
                                  (self.tree, " ".join(mine), self.command()))
            if discard:
                git.run("reset", "-q", "--hard", new)
            elif head != new:
                git.run("read-tree", "-m", "-u", old, new)
        git.run("update-ref", "refs/heads/series", new)
        git.run("symbolic-ref", "HEAD", "refs/heads/series")
        git.run("update-ref", "refs/heads/base", self.base()[1])
        self.set_state(new, patches)
        print("%s: %s + %d patches (%s)" % (self.tree, self.base()[2], len(patches), new[:12]))

    def go_to(self, commit, patches):
        """What was refreshed is what is assembled: no edits are left."""
        git = self.git()
        git.run("reset", "-q", "--hard", commit)
        git.run("update-ref", "refs/heads/series", commit)
        git.run("symbolic-ref", "HEAD", "refs/heads/series")
        self.set_state(commit, patches)

    def status(self):
        """Exit 0 if the tree could be thrown away."""
        if not os.path.isdir(os.path.join(self.tree, ".git")):
            return
        git = self.git()
        was = self.state(git)
        if was is None:
            return
        patches = self.load()
        work = [f for f in self.dirty(git) if not self.same_as_project(f, patches)]
        if git.out("rev-parse", "HEAD") != was:
            work.insert(0, "commits")
        if work:
            raise Refused("%s has work that is not in the project: %s\n       '%s refresh' brings it "
                          "there" % (self.tree, " ".join(work), self.command()))

    def same_as_project(self, f, patches):
        if not any(f in p.overlay for p in patches):
            return False
        a, b = os.path.join(self.root, f), os.path.join(self.tree, f)
        return os.path.exists(a) and os.path.exists(b) and read(a) == read(b)

    def command(self):
        return "testbed/series " + self.name
