# SPDX-License-Identifier: GPL-2.0
"""A patch of the project: a mail that claims new files and changes files of the base."""
import email.header
import email.parser
import hashlib
import re

from .git import Refused, decode, encode

# What 'git am' would take for the end of a commit message.
ENDS_MESSAGE = re.compile(r"^(---(\s|$)|diff -|Index: )", re.M)


class Patch:
    """One mail."""

    def __init__(self, author, date, subject, message, overlay, notes, diff, name=None):
        self.author = author        # "Name <email>"
        self.date = date            # as in the header
        self.subject = subject
        self.message = message      # without the subject, no trailing newline
        self.overlay = overlay      # paths
        self.notes = notes          # other lines below '---'
        self.diff = diff            # bytes
        self.name = name            # file name in patches/

    @classmethod
    def parse(cls, name, data):
        text = decode(data).replace("\r\n", "\n")
        head, sep, rest = text.partition("\n\n")
        if not sep:
            raise Refused("%s: no empty line after the mail's header" % name)
        if head.startswith("From ") and not head.startswith("From:"):
            head = head.partition("\n")[2]
        mail = email.parser.HeaderParser().parsestr(head)

        def header(key):
            value = mail.get(key)
            if not value:
                raise Refused("%s: the mail has no %s:" % (name, key))
            value = re.sub(r"\n[ \t]+", " ", str(value))
            if "=?" not in value:
                return value.strip()
            return str(email.header.make_header(email.header.decode_header(value))).strip()

        subject = re.sub(r"^\[PATCH[^\]]*\]\s*", "", header("Subject"))
        message, sep, rest = ("\n" + rest).partition("\n---\n")
        if not sep:
            raise Refused("%s: no '---' line between message and diff" % name)
        start = re.search(r"^diff --git ", rest, re.M)
        below, diff = (rest[:start.start()], rest[start.start():]) if start else (rest, "")
        diff = re.sub(r"\n-- \n.*\Z", "\n", diff, flags=re.S)
        overlay, notes = [], []
        for line in below.split("\n"):
            if line.startswith("overlay:"):
                overlay.append(line[len("overlay:"):].strip())
            elif line.strip():
                notes.append(line)
        return cls(header("From"), header("Date"), subject, message.strip("\n"),
                   overlay, notes, encode(diff), name)

    def mail(self):
        below = self.notes + ["overlay: " + p for p in self.overlay]
        text = "From: %s\nDate: %s\nSubject: [PATCH] %s\n\n" % (
            self.author, self.date, self.subject)
        if self.message:
            text += self.message + "\n"
        text += "---\n" + "".join(l + "\n" for l in below)
        data = encode(text)
        if self.diff:
            data += b"\n" + self.diff
        return data

    def commit_message(self):
        return self.subject + "\n" + ("\n" + self.message + "\n" if self.message else "")

    def touches(self):
        """(path, is_new) of every file in the diff."""
        found = []
        for chunk in re.split(r"^(?=diff --git )", decode(self.diff), flags=re.M):
            if not chunk:
                continue
            head = chunk.split("\n@@", 1)[0]
            new = re.search(r"^\+\+\+ b/(.*?)\t?$", head, re.M)
            old = re.search(r"^--- a/(.*?)\t?$", head, re.M)
            if new or old:
                path = (new or old).group(1)
            else:
                path = re.match(r"diff --git a/(.*) b/", head).group(1)
            found.append((path, bool(re.search(r"^new file mode", head, re.M))))
        return found


def slug(subject):
    """As 'git format-patch' names its files."""
    s = re.sub(r"[^A-Za-z0-9._]+", "-", subject)
    s = re.sub(r"\.+", ".", s).strip("-.")
    return s[:52].rstrip("-.")


def fingerprint(patches):
    return hashlib.sha256(b"\0".join(p.mail() for p in patches)).hexdigest()
