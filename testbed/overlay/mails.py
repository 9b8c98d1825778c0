# SPDX-License-Identifier: GPL-2.0
"""From the project to mails, and whether "git am" makes the same tree of them."""
import os
import re
import shutil
import subprocess
import tempfile
import textwrap

from .git import Git, Refused, decode, encode, read, write_if_changed
from .patch import Patch, slug


def export(tree):
    """out/series/, anew; the commits that it was made from."""
    patches = tree.load()
    tree.check_claims(patches)
    commits = tree.build(patches)
    shutil.rmtree(tree.series_out, ignore_errors=True)
    os.makedirs(tree.series_out)
    if not commits:
        print("the series is empty: nothing to export")
        return commits
    base = tree.base()
    tree.git().run("format-patch", "-q", "--cover-letter", "--base=" + base[1],
                   "-o", tree.series_out, "--no-signature", "--no-renames",
                   "--diff-algorithm=myers", "%s..%s" % (base[1], commits[-1]),
                   env={"GIT_COMMITTER_NAME": re.match(r"(.*?)\s*<", patches[-1].author).group(1),
                        "GIT_COMMITTER_EMAIL": re.search(r"<(.*)>", patches[-1].author).group(1)})
    write_cover(tree, base[2], patches)
    for f in sorted(os.listdir(tree.series_out)):
        print(os.path.join(tree.series_out, f))
    return commits


def numbers(cover, patches):
    """"@{words}" in the cover letter is the number of the patch with these words in its
    subject: a series is renumbered more often than its letter is read."""
    def number(m):
        found = [n for n, p in enumerate(patches, 1) if m.group(1) in p.subject]
        if len(found) != 1:
            raise Refused("patches/cover.txt: %d patches have '%s' in the subject, not one" %
                          (len(found), m.group(1)))
        return str(found[0])
    return re.sub(r"@\{([^}]*)\}", number, cover)


def wrap(text):
    """Paragraphs at 72 columns; what is indented, or has a bullet, stays as it is."""
    parts = text.split("\n\n")
    return "\n\n".join(p if re.search(r"^[ \t*-]", p, re.M) else textwrap.fill(
        re.sub(r"\s+", " ", p), 72, break_long_words=False, break_on_hyphens=False)
                       for p in parts)


def write_cover(tree, label, patches):
    """Not called *.patch: 'git am *.patch' would stop at a mail without a diff."""
    generated = os.path.join(tree.series_out, "0000-cover-letter.patch")
    text = decode(read(generated))
    os.unlink(generated)
    path = os.path.join(tree.patches, "cover.txt")
    cover = decode(read(path)) if os.path.exists(path) else "The series\n"
    cover = "\n".join(l for l in cover.split("\n") if not l.startswith("#"))
    subject, _, blurb = cover.strip("\n").partition("\n")
    text = text.replace("*** SUBJECT HERE ***", subject)
    text = text.replace("*** BLURB HERE ***", wrap(numbers(blurb.strip("\n"), patches)) +
                        "\n\nBase: %s, as Debian ships it; the base-commit below is\n"
                        "that source as a commit without a parent." % label)
    with open(os.path.join(tree.series_out, "0000-cover-letter.txt"), "wb") as f:
        f.write(encode(text))


def verify(tree):
    commits = export(tree)
    if not commits:
        return
    base = tree.base()
    git = tree.git()
    mails = sorted(os.path.join(tree.series_out, f)
                   for f in os.listdir(tree.series_out) if f.endswith(".patch"))
    changed = git.out("diff", "--name-only", "--no-renames", base[1], commits[-1]).split("\n")
    with tempfile.TemporaryDirectory() as tmp:
        am = sparse_checkout(tmp, base, changed)
        am.run("am", "-q", "--keep-cr", *mails)
        theirs = am.out("rev-parse", "HEAD^{tree}")
        ours = git.out("rev-parse", commits[-1] + "^{tree}")
        if theirs != ours:
            raise Refused("'git am' of the exported mails gives tree %s, the assembled one is %s"
                          % (theirs, ours))
        for p in tree.load():
            for f in p.overlay:
                if read(os.path.join(tmp, f)) != read(os.path.join(tree.root, f)):
                    raise Refused("%s differs after 'git am'" % f)
    print("verified: git am of %d mails on %s gives the assembled tree, byte for byte" %
          (len(mails), base[2]))


def sparse_checkout(folder, base, changed):
    """The base as a repository of its own.  All of it is in the index; only what
    is touched is unpacked."""
    git = Git(os.path.join(folder, ".git"), folder)
    git.run("init", "-q", env={"GIT_TEMPLATE_DIR": ""})
    write_if_changed(os.path.join(folder, ".git/objects/info/alternates"),
                     encode(os.path.join(base[0], "objects") + "\n"))
    git.run("config", "core.sparseCheckout", "true")
    write_if_changed(os.path.join(folder, ".git/info/sparse-checkout"),
                     encode("".join("/%s\n" % c for c in changed)))
    git.run("update-ref", "refs/heads/master", base[1])
    git.run("symbolic-ref", "HEAD", "refs/heads/master")
    git.run("read-tree", "-m", "-u", "HEAD")
    return git


def new(tree, subject):
    """A mail without a diff, the last of the series."""
    name = "%04d-%s.patch" % (len(tree.series_names()) + 1, slug(subject))
    who = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], stdout=subprocess.PIPE, cwd=tree.top)
    m = re.match(r"(.*>) ", decode(who.stdout))
    if not m:
        raise Refused("git does not know who you are (user.name, user.email)")
    date = decode(subprocess.run(["date", "-R"], stdout=subprocess.PIPE).stdout).strip()
    p = Patch(m.group(1), date, subject, "Why.\n\nSigned-off-by: " + m.group(1), [],
              [], b"")
    write_if_changed(os.path.join(tree.patches, name), p.mail())
    with open(os.path.join(tree.patches, "series"), "a") as f:
        f.write(name + "\n")
    print(os.path.join(tree.patches, name))
