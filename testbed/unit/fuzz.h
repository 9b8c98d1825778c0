/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of ghcb/ and vmsa/ have in common: their input comes from
 * rnd(), from the files of a corpus, or, with -DLIBFUZZER, from libFuzzer, which
 * brings a main() of its own.
 */
#ifndef UNIT_FUZZ_H
#define UNIT_FUZZ_H

#include <stdlib.h>
#include <time.h>

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);	\
		abort();						\
	}								\
} while (0)

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t size);

/* The same sequence each time. */
static inline u64 rnd(void)
{
	static u64 state = 0x5e5;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static inline void run_file(const char *name)
{
	static u8 bytes[65536];
	FILE *f = fopen(name, "rb");
	size_t size;

	if (!f) {
		perror(name);
		exit(1);
	}
	size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, size);
}

#endif
