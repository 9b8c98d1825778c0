# SPDX-License-Identifier: GPL-2.0
"""Files and git, as the other modules need them."""
import os
import subprocess

GIT_ENV = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_COMMITTER_NAME": "kvm-sev",
    "GIT_COMMITTER_EMAIL": "kvm-sev@invalid",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


class Refused(Exception):
    """Something the user must put right; the text says what."""


def decode(data):
    return data.decode("utf-8", "surrogateescape")


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write_if_changed(path, data, executable=None):
    """Leave the time stamp of a file alone that already is as it should be."""
    if not os.path.islink(path) and os.path.isfile(path) and read(path) == data:
        changed = False
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "wb") as f:
            f.write(data)
        changed = True
    if executable is not None:
        mode = os.stat(path).st_mode
        if bool(mode & 0o100) != executable:
            os.chmod(path, (mode | 0o111) if executable else (mode & ~0o111))
            changed = True
    return changed


class Git:
    def __init__(self, gitdir, worktree=None, index=None):
        self.env = dict(os.environ, **GIT_ENV)
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            self.env.pop(name, None)
        self.env["GIT_DIR"] = gitdir
        if worktree:
            self.env["GIT_WORK_TREE"] = worktree
        if index:
            self.env["GIT_INDEX_FILE"] = index
        self.cwd = worktree or gitdir

    def run(self, *args, data=None, env=None, check=True):
        r = subprocess.run(("git", "-c", "core.quotePath=false") + args,
                           input=data, cwd=self.cwd,
                           env=dict(self.env, **(env or {})),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and r.returncode:
            raise Refused("git %s: %s" % (" ".join(args[:4]), decode(r.stderr).strip()))
        return r

    def out(self, *args, **kw):
        return decode(self.run(*args, **kw).stdout).rstrip("\n")

    def has(self, rev):
        return self.run("cat-file", "-e", rev + "^{tree}", check=False).returncode == 0

    def blob(self, rev, path):
        return self.run("cat-file", "blob", "%s:%s" % (rev, path)).stdout


def commit_tree(git, tree, parent, message, name, address, date):
    args = ["commit-tree", tree] + (["-p", parent] if parent else [])
    env = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address, "GIT_AUTHOR_DATE": date,
           "GIT_COMMITTER_DATE": date}
    return decode(git.run(*args, data=encode(message), env=env).stdout).strip()
