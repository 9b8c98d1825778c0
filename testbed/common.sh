# SPDX-License-Identifier: GPL-2.0
# What every shell script of the test bed shares: where things are, how an
# error looks, how a long step shows itself.  Sourced, never run.

KVM_SEV_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
KVM_SEV_CACHE=${KVM_SEV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm-sev}
KVM_SEV_OUT=${KVM_SEV_OUT:-$KVM_SEV_TOP/out}
export KVM_SEV_TOP KVM_SEV_CACHE KVM_SEV_OUT
mkdir -p "$KVM_SEV_CACHE" "$KVM_SEV_OUT/log"

KVM_SEV_JOBS=${KVM_SEV_JOBS:-$(nproc)}

die() {
	echo "error: $*" >&2
	exit 1
}

# log_tail LOG: the lines that matter: the first errors and what surrounds
# them if there are any, else the end.
log_tail() {
	local log=$1 first
	first=$(grep -nE '(^|[^a-z_-])(error|Error|ERROR|fatal|FAILED|E):|No space left|undefined reference' \
		"$log" 2>/dev/null | head -n 1 | cut -d: -f1)
	if [ -n "$first" ] && [ "$first" -lt $(($(wc -l <"$log") - 14)) ]; then
		sed -n "$((first > 2 ? first - 2 : 1)),$((first + 8))p" "$log"
		echo "[...]"
		tail -n 4 "$log"
	else
		tail -n 15 "$log"
	fi
}

# die_log LOG MESSAGE...: the end of the log that matters, then where it is.
die_log() {
	local log=$1
	shift
	echo "error: $*" >&2
	echo "--- from $log:" >&2
	log_tail "$log" | sed 's/^/    /' >&2
	echo "--- the whole log: $log" >&2
	full_disks >&2
	exit 1
}

# What fails for lack of space seldom says so in its last lines.
full_disks() {
	local dir
	for dir in "$KVM_SEV_OUT" "$KVM_SEV_CACHE" "${TMPDIR:-/tmp}"; do
		[ "$(df -Pk "$dir" | awk 'END { print $4 }')" -ge 102400 ] ||
			echo "--- less than 100 MB are free at $dir: a first build takes 10 GB in all"
	done
}

# step TITLE COMMAND...: run a long command, its output in out/log/.  On a
# terminal one line shows the time (and a bar where the log has a count such
# as ninja's "[12/345]"); else a line at the start, one each minute and one
# at the end.  A failure ends the script with the lines that matter.
step() {
	local title=$1 log start pid rc=0 elapsed said=0
	shift
	log=$KVM_SEV_OUT/log/$(echo "$title" | tr -cs 'A-Za-z0-9.\n' '-').log
	start=$SECONDS
	[ -t 2 ] || echo "==> $title" >&2
	set -m			# a process group of its own, to be ended as one
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	trap "kill -- -$pid 2>/dev/null; exit 130" INT TERM
	while kill -0 $pid 2>/dev/null; do
		elapsed=$((SECONDS - start))
		if [ -t 2 ]; then
			printf '\r\033[K==> %s  %s%s' "$title" "$(clock $elapsed)" "$(bar "$log")" >&2
		elif [ $((elapsed / 60)) -gt $said ]; then
			said=$((elapsed / 60))
			echo "    $title: $(clock $elapsed)$(bar "$log")" >&2
		fi
		sleep 0.3
	done
	wait $pid || rc=$?
	trap - INT TERM
	elapsed=$((SECONDS - start))
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ $rc != 0 ]; then
		die_log "$log" "$title failed after $(clock $elapsed) (exit status $rc)"
	fi
	if [ -t 2 ]; then
		echo "==> $title: $(clock $elapsed)" >&2
	else
		echo "    $title: done in $(clock $elapsed)" >&2
	fi
}

clock() {
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# bar LOG: from the log's last "[done/total]", if it has one.
bar() {
	local count done total n
	count=$(tail -c 4096 "$1" 2>/dev/null | grep -oE '^\[[0-9]+/[0-9]+\]' | tail -n 1)
	[ -n "$count" ] || return 0
	done=${count#[}
	total=${done#*/}
	done=${done%/*}
	total=${total%]}
	[ "$total" -gt 0 ] || return 0
	n=$((done * 30 / total))
	printf '  [%s%s] %d/%d' "$(printf '%*s' $n '' | tr ' ' '#')" \
		"$(printf '%*s' $((30 - n)) '' | tr ' ' .)" "$done" "$total"
}

# with_lock NAME: one process at a time from here on, for what is shared in
# the cache; released when the script ends.
with_lock() {
	exec 9>"$KVM_SEV_CACHE/$1.lock"
	flock -w 3600 9 || die "another process has held $KVM_SEV_CACHE/$1.lock for an hour"
}

# Compilers go through ccache, if there is one; shared by all clones.
ccache_env() {
	export CCACHE_DIR=${CCACHE_DIR:-$KVM_SEV_CACHE/ccache}
	export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}
	export CCACHE_BASEDIR=$KVM_SEV_TOP CCACHE_NOHASHDIR=1
	export CCACHE_SLOPPINESS=time_macros,include_file_mtime,include_file_ctime
	ccache=
	! command -v ccache >/dev/null || ccache="ccache "
}
