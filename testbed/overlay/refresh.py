# SPDX-License-Identifier: GPL-2.0
"""From commits to the project: the inverse of assembling it."""
import os
import re
import subprocess
import sys

from .git import Git, Refused, decode, encode, read, write_if_changed
from .patch import ENDS_MESSAGE, Patch, fingerprint, slug

# New files that someone wrote, not what a build left.
SOURCE = re.compile(r"\.([chS]|rst|py|sh|cfg|config|build)$|/(Kconfig|Makefile|config|settings)$")

DIFF = ["-p", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames",
        "-U3", "--diff-algorithm=myers", "--indent-heuristic",
        "--src-prefix=a/", "--dst-prefix=b/", "--full-index"]


# --- commits to patches

def check_linear(git, base, head):
    merges = git.out("rev-list", "--merges", "%s..%s" % (base, head))
    if merges:
        raise Refused("a series is linear; these are merges: " + merges.replace("\n", " "))
    if git.run("merge-base", "--is-ancestor", base, head, check=False).returncode:
        raise Refused("%s is not an ancestor of %s" % (base, head))


def sort_changes(git, commit, title, born, fold):
    """What a commit creates, what of the base it changes, and what it must not.
    @born learns who created what."""
    created, changed, errors = [], [], []
    for row in git.out("diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-commit-id",
                       commit + "^", commit).split("\0:"):
        if not row:
            continue
        meta, path = row.lstrip(":").rstrip("\0").split("\0")
        _, mode, _, _, status = meta.split()
        if mode in ("120000", "160000"):
            errors.append("%s makes %s a symlink or submodule" % (title, path))
        elif status == "A":
            if path in born:
                errors.append("%s and %s both create %s" % (born[path], title, path))
            born[path] = title
            created.append(path)
        elif path in born:
            if not fold:
                errors.append("%s is created by %s and changed by %s: fold the change into "
                              "the first (git rebase --autosquash), or --fold-overlay takes "
                              "the final content there" % (path, born[path], title))
        elif status in "MDT":
            changed.append(path)
    return created, changed, errors


def diff_of(git, commit, paths):
    if not paths:
        return b""
    diff = git.run("diff-tree", *DIFF, "--no-commit-id", commit + "^", commit, "--",
                   *[":(top,literal)" + p for p in paths]).stdout
    return re.sub(rb"^index [0-9a-f]+\.\.[0-9a-f]+( \d+)?\n", b"", diff, flags=re.M)


def split_commits(git, base, head, fold):
    """The patches of base..head, and who created which file."""
    born, patches, errors = {}, [], []
    for c in git.out("rev-list", "--reverse", "%s..%s" % (base, head)).split():
        title = git.out("log", "-1", "--format=%h (%s)", c)
        mine, touched, wrong = sort_changes(git, c, title, born, fold)
        errors += wrong
        diff = diff_of(git, c, touched)
        if not mine and not diff:
            print("note: %s only changes overlay files: folded, its message is dropped" % title,
                  file=sys.stderr)
            continue
        subject, _, message = git.out("log", "-1", "--format=%B", c).partition("\n")
        if ENDS_MESSAGE.search(message):
            errors.append("%s: a line of its message would end it for 'git am'" % title)
        patches.append(Patch(git.out("log", "-1", "--format=%an <%ae>", c),
                             git.out("log", "-1", "--format=%aD", c),
                             subject.strip(), message.strip("\n"), sorted(mine), [], diff))
    if errors:
        raise Refused("\n       ".join(errors))
    return patches, born


def list_files(git, rev, paths):
    """{path: words of its mode, type, hash} of those that there are."""
    listing = {}
    for row in git.out("ls-tree", "-r", rev, "--", *[":(top,literal)" + p for p in paths]
                       ).split("\n") if paths else []:
        meta, path = row.split("\t", 1)
        listing[path] = meta.split()
    return listing


def split(tree, git, base, head, fold, edited=()):
    """Patches and overlay {path: (bytes, executable)} of base..head."""
    check_linear(git, base, head)
    patches, born = split_commits(git, base, head, fold)
    listing, overlay = list_files(git, head, born), {}
    for p in patches:
        for f in list(p.overlay):
            if f not in listing:
                if not fold:
                    raise Refused("%s, created by %s, is gone in the end" % (f, born[f]))
                p.overlay.remove(f)
                continue
            path = os.path.join(tree.tree, f)
            data = read(path) if f in edited else git.blob(head, f)
            overlay[f] = data, listing[f][0] == "100755"
    for n, p in enumerate(patches, 1):
        p.name = "%04d-%s.patch" % (n, slug(p.subject))
    return patches, overlay


# --- patches to the project

def read_branch(tree, source, base_rev, head_rev, fold):
    """An import: the project takes what the branch has."""
    gitdir = subprocess.run(["git", "-C", source, "rev-parse", "--absolute-git-dir"],
                            stdout=subprocess.PIPE)
    if gitdir.returncode:
        raise Refused("%s is no git repository" % source)
    git = Git(decode(gitdir.stdout).strip(), source)
    base = git.out("rev-parse", base_rev + "^{commit}")
    head = git.out("rev-parse", head_rev + "^{commit}")
    patches, overlay = split(tree, git, base, head, fold)
    return git, base, head, patches, overlay


def read_tree(tree, old, fold, force):
    """The assembled tree's commits, and edits of overlay files that no commit has."""
    git, base = tree.git(), tree.base()[1]
    was = tree.state(git)
    if not was:
        raise Refused("%s was not assembled yet: '%s assemble'" % (tree.tree, tree.command()))
    edited = tree.dirty(git)
    patches, overlay = split(tree, git, base, git.out("rev-parse", "HEAD"), fold, edited)
    loose = [f for f in edited if f not in overlay]
    if loose:
        raise Refused("edits in %s that are not committed: %s\n       (git commit --fixup COMMIT, "
                      "git rebase -i --autosquash base)" % (tree.tree, " ".join(loose)))
    forgotten = [f for f in git.out("ls-files", "-o").split("\n") if SOURCE.search(f)]
    if forgotten:
        raise Refused("new files in %s that no commit has: %s\n       (the base's .gitignore may "
                      "hide them: git add -f)" % (tree.tree, " ".join(forgotten)))
    merge_project(tree, git, was, old, patches, overlay, force)
    return patches, overlay


def merge_project(tree, git, was, old, patches, overlay, force):
    """What was edited in the project since the last assemble stays, unless both sides were."""
    was_patches, was_overlay = split(tree, git, tree.base()[1], was, False)
    clash = []
    for f, (data, executable) in list(overlay.items()):
        path = os.path.join(tree.root, f)
        if f not in was_overlay or not os.path.isfile(path):
            continue
        now = read(path), bool(os.stat(path).st_mode & 0o100)
        if now in (was_overlay[f], (data, executable)):
            continue
        if (data, executable) == was_overlay[f]:
            overlay[f] = now
        else:
            clash.append(tree.prefix + f)
    if fingerprint(old) != tree.assembled_patches():
        text = [(p.author, p.subject, p.message, p.overlay, p.diff) for p in patches]
        if text == [(p.author, p.subject, p.message, p.overlay, p.diff) for p in was_patches]:
            patches[:] = old        # edited in the project alone
        else:
            clash.append(tree.prefix + "patches/")
    if clash and not force:
        raise Refused("changed both in the project and in the tree since the last assemble: %s\n"
                      "       (--force takes the tree's)" % " ".join(clash))


def keep_notes(old, patches):
    notes = {p.subject: p.notes for p in old}
    for p in patches:
        p.notes = notes.get(p.subject, [])


def write_overlay(tree, old_claims, overlay):
    """What has changed of it."""
    changed = []
    for f, (data, executable) in sorted(overlay.items()):
        if write_if_changed(os.path.join(tree.root, f), data, executable):
            changed.append(tree.prefix + f)
    for f in sorted(old_claims - set(overlay)):
        path = os.path.join(tree.root, f)
        if os.path.isfile(path):
            os.unlink(path)
            changed.append("removed " + tree.prefix + f)
            try:
                os.removedirs(os.path.dirname(path))
            except OSError:
                pass
    return changed


def write_patches(tree, old, patches):
    """What has changed below patches/."""
    changed = []
    names = {p.name for p in patches}
    for p in patches:
        if write_if_changed(os.path.join(tree.patches, p.name), p.mail()):
            changed.append("%spatches/%s" % (tree.prefix, p.name))
    for p in old:
        if p.name not in names:
            os.unlink(os.path.join(tree.patches, p.name))
            changed.append("removed %spatches/%s" % (tree.prefix, p.name))
    path = os.path.join(tree.patches, "series")
    comments = [l for l in (decode(read(path)).split("\n") if os.path.exists(path) else [])
                if l.startswith("#")]
    if write_if_changed(path, encode("".join(l + "\n" for l in comments + [p.name for p in patches]))):
        changed.append(tree.prefix + "patches/series")
    return changed


def compare_import(tree, last, git, base, head):
    mine, differs = tree.git(), []
    files = git.out("diff", "--name-only", "--no-renames", base, head).split("\n")
    for f in [f for f in files if f]:
        a = git.out("rev-parse", "-q", "--verify", "%s:%s" % (head, f), check=False)
        b = mine.out("rev-parse", "-q", "--verify", "%s:%s" % (last, f), check=False)
        if a != b:
            differs.append(f)
    if differs:
        print("warning: not the same after the round trip (another base?): %s" %
              " ".join(differs), file=sys.stderr)


def assemble_again(tree):
    """The round trip must give the same tree: its last commit."""
    patches = tree.load()
    tree.check_claims(patches)
    commits = tree.build(patches)
    return patches, commits[-1] if commits else tree.base()[1]


def refresh(tree, source=None, base_rev=None, head_rev=None, fold=False, force=False):
    old = tree.load()
    if source:
        git, base, head, patches, overlay = read_branch(tree, source, base_rev, head_rev, fold)
    else:
        patches, overlay = read_tree(tree, old, fold, force)
    keep_notes(old, patches)

    changed = write_overlay(tree, {f for p in old for f in p.overlay}, overlay)
    changed += write_patches(tree, old, patches)
    for c in changed:
        print(c)

    loaded, last = assemble_again(tree)
    if source:
        compare_import(tree, last, git, base, head)
    else:
        tree.go_to(last, loaded)
    print("%d patches, %d overlay files, %d changed" % (len(loaded), len(overlay), len(changed)))
