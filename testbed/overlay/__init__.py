# SPDX-License-Identifier: GPL-2.0
"""What testbed/series is made of.  Each module builds on those before it:

git       files and git
patch     a mail of patches/
project   what the project holds, and who claims what
tree      base + one commit per patch, in out/tree/
mails     ... to out/series/, and a try of them
refresh   from commits back to patches and overlay
"""
