// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small reference VMM that sends a running SEV-ES guest to another host, or
 * receives it.  The guest watches its own memory, and says how it fares.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_migrate/migrate.h"

#define PROGRESS_SECONDS	5
#define POLICY_SAME_ROOT	BIT(5)	/* only to hosts whose root this one knows */

static const char usage_text[] =
"usage: sev_migrate_vmm receive PORT [option ...]\n"
"       sev_migrate_vmm send HOST PORT [option ...]\n"
"\n"
"Launches a SEV-ES guest and sends it to another host while it runs, or waits\n"
"for one and runs it. HOST is an address. The first to be started may be either.\n"
"\n"
"  --wait SECONDS       for the other host (60)\n"
"  --root FILE          receive: AMD's certificates, ASK and ARK, that this host's\n"
"                       are made out by (where the emulated host has them)\n"
"  --quit-after PAGES   receive: refuse the guest after so many\n"
"  --memory MB          send: how much the guest watches, a power of two (64)\n"
"  --same-root          send: by policy, only to hosts with this host's root\n"
"  --damage all|KIND    flip bits of what is sent before it is sent well, and have\n"
"                       the other side refuse them; KIND of message: hello config\n"
"                       start pages vcpu finish bye (send), certs (both), reply (receive)\n"
"  --expect refused     send: the guest has to be refused, and go on here; receive:\n"
"                       so is it all right that it does not come\n"
"  --expect loss        send: leave a page out; receive: the guest has to miss it\n"
"  --expect swap        send: swap two pages; receive: the guest has to notice\n"
"\n"
"Exit status: 0 as expected, 1 not, 2 usage, 4 no SEV-ES on this host\n";

static void say(const char *indent, const char *fmt, va_list ap)
{
	printf("%s", indent);
	vprintf(fmt, ap);
	printf("\n");
	fflush(stdout);
}

void sev_migrate_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

/* Lines, not a bar: consoles of hosts end up in files. */
void sev_migrate_progress(const char *fmt, ...)
{
	static time_t last;
	va_list ap;

	if (time(NULL) < last + PROGRESS_SECONDS)
		return;

	last = time(NULL);
	va_start(ap, fmt);
	say("  ", fmt, ap);
	va_end(ap);
}

void sev_migrate_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "error: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	/* The guest may be running, in threads that are not to hear of it. */
	_exit(1);
}

static const char *fw_name(uint32_t fw)
{
	switch (fw) {
	case SEV_RET_INVALID_PLATFORM_STATE:	return "INVALID_PLATFORM_STATE";
	case SEV_RET_INVALID_GUEST_STATE:	return "INVALID_GUEST_STATE";
	case SEV_RET_INVALID_LEN:		return "INVALID_LEN";
	case SEV_RET_INVALID_CERTIFICATE:	return "INVALID_CERTIFICATE";
	case SEV_RET_POLICY_FAILURE:		return "POLICY_FAILURE";
	case SEV_RET_INACTIVE:			return "INACTIVE";
	case SEV_RET_INVALID_ADDRESS:		return "INVALID_ADDRESS";
	case SEV_RET_BAD_SIGNATURE:		return "BAD_SIGNATURE";
	case SEV_RET_BAD_MEASUREMENT:		return "BAD_MEASUREMENT";
	case SEV_RET_UNSUPPORTED:		return "UNSUPPORTED";
	case SEV_RET_INVALID_PARAM:		return "INVALID_PARAM";
	case SEV_RET_RESOURCE_LIMIT:		return "RESOURCE_LIMIT";
	default:				return "another status";
	}
}

const char *sev_migrate_error(char text[SEV_MIGRATE_ERROR_LEN], int error, uint32_t fw)
{
	if (error == -EIO)
		snprintf(text, SEV_MIGRATE_ERROR_LEN, "refused by the firmware, %s (%#x)",
			 fw_name(fw), fw);
	else
		snprintf(text, SEV_MIGRATE_ERROR_LEN, "%s",
			 error ? strerror(-error) : "that all is well");
	return text;
}

static void __noreturn __printf(1, 2) usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "error: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; --help says more\n");
	va_end(ap);
	exit(2);
}

static uint32_t number_of(const char *option, const char *arg, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!*arg || *end || n < min || n > max)
		usage("--%s %s: a number from %u to %u", option, arg, min, max);
	return n;
}

static enum sev_migrate_expect expect_of(const char *arg)
{
	if (!strcmp(arg, "refused"))
		return SEV_MIGRATE_EXPECT_REFUSED;
	if (!strcmp(arg, "loss"))
		return SEV_MIGRATE_EXPECT_LOSS;
	if (!strcmp(arg, "swap"))
		return SEV_MIGRATE_EXPECT_SWAP;
	usage("--expect %s: refused, loss or swap", arg);
}

static const char *damage_of(const char *arg)
{
	uint32_t kind;

	for (kind = 1; kind < SEV_WIRE_NR_KINDS; kind++)
		if (!strcmp(arg, sev_wire_name(kind)) || !strcmp(arg, "all"))
			return arg;
	usage("--damage %s: there is no such kind of message", arg);
}

static const struct option long_options[] = {
	{ "wait", required_argument, NULL, 'w' },
	{ "root", required_argument, NULL, 'r' },
	{ "quit-after", required_argument, NULL, 'q' },
	{ "memory", required_argument, NULL, 'm' },
	{ "same-root", no_argument, NULL, 's' },
	{ "damage", required_argument, NULL, 'd' },
	{ "expect", required_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static void set_option(struct sev_migrate_options *o, int c)
{
	switch (c) {
	case 'w':
		o->wait = number_of("wait", optarg, 1, 86400);
		break;
	case 'r':
		o->root = optarg;
		break;
	case 'q':
		o->quit_after = number_of("quit-after", optarg, 1, -1u);
		break;
	case 'm':
		o->megabytes = number_of("memory", optarg, 1, 512);
		if (o->megabytes & (o->megabytes - 1))
			usage("--memory %s: not a power of two", optarg);
		break;
	case 's':
		o->policy |= POLICY_SAME_ROOT;
		break;
	case 'd':
		o->damage = damage_of(optarg);
		break;
	case 'e':
		o->expect = expect_of(optarg);
		break;
	case 'h':
		printf("%s", usage_text);
		exit(0);
	default:
		/* getopt_long() has said what is wrong. */
		exit(2);
	}
}

int main(int argc, char *argv[])
{
	struct sev_migrate_options o = {
		.megabytes = 64,
		.policy = SEV_POLICY_ES,
		.wait = 60,
	};
	bool send;
	int c;

	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		set_option(&o, c);
	argv += optind;
	argc -= optind;
	send = argc && !strcmp(argv[0], "send");
	if (!send && !(argc && !strcmp(argv[0], "receive")))
		usage("send or receive?");
	if (argc != (send ? 3 : 2))
		usage("%s wants %s", argv[0], send ? "HOST and PORT" : "PORT");

	o.host = send ? argv[1] : NULL;
	o.port = argv[argc - 1];
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	return send ? sev_migrate_send(&o) : sev_migrate_receive(&o);
}
