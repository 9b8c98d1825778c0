# SPDX-License-Identifier: GPL-2.0
"""Two emulated hosts, west and east, with a cable between their network cards.

Each is a chip of its own, with certificates by a root of its own: what one
sends, only the other can read.  Both begin with their card up; the other one's
address is in $PEER.
"""
import socket
import threading

from host import Host

SIDES = ("west", "east")
ADDRESS = {"west": "10.0.0.1", "east": "10.0.0.2"}

SCRIPT = """ifconfig eth0 %s netmask 255.255.255.0 up || exit 1
export PEER=%s
%s"""


def other(side):
    return SIDES[1 - SIDES.index(side)]


def network_card(side, fd):
    return ["-netdev", "stream,id=cable,server=off,addr.type=fd,addr.str=%d" % fd,
            "-device", "virtio-net-pci,netdev=cable,romfile=,mac=52:54:00:00:00:0%d"
            % (1 + SIDES.index(side))]


class Pair:
    """One boot of both; hosts[side] is what it has come to."""

    def __init__(self, variant, scripts, files=(), name="pair", **host):
        self.hosts = {}
        self.died = None        # the first that did, before its end
        ends = dict(zip(SIDES, socket.socketpair()))
        self.ends = ends
        for side in SIDES:
            self.hosts[side] = Host(
                variant, SCRIPT % (ADDRESS[side], ADDRESS[other(side)], scripts[side]),
                files, name="%s-%s" % (name, side), smp="2", mem="3G",
                psp_properties=",chip-seed=%s,root-seed=%s" % (side, side),
                more=network_card(side, ends[side].fileno()),
                pass_fds=[ends[side].fileno()], **host)

    def run(self, limit, on_line=None):
        """Both to their end.  If one dies, nothing will come of the other."""
        threads = [threading.Thread(target=self.run_side, args=(side, limit, on_line))
                   for side in SIDES]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def run_side(self, side, limit, on_line):
        host = self.hosts[side]
        try:
            host.run(limit, (lambda line: on_line(side, line)) if on_line else None)
        finally:
            if host.status is None and not self.died:
                self.died = side
                self.kill(other(side))

    def kill(self, side):
        process = self.hosts[side].process
        if process and process.poll() is None:
            self.hosts[side].lines.append("# testbed: the other host has died, killed")
            process.kill()

    def cleanup(self):
        for end in self.ends.values():
            end.close()
        for host in self.hosts.values():
            host.cleanup()
