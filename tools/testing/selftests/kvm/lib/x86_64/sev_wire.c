// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a SEV-ES guest goes from host to host: messages on a socket.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sev_wire.h"
#include "test_util.h"

kvm_static_assert(sizeof(struct sev_wire_head) == 24);

const char *sev_wire_name(uint32_t kind)
{
	static const char * const names[SEV_WIRE_NR_KINDS] = {
		[SEV_WIRE_HELLO] = "hello",
		[SEV_WIRE_CONFIG] = "config",
		[SEV_WIRE_START] = "start",
		[SEV_WIRE_PAGES] = "pages",
		[SEV_WIRE_VCPU] = "vcpu",
		[SEV_WIRE_FINISH] = "finish",
		[SEV_WIRE_BYE] = "bye",
		[SEV_WIRE_CERTS] = "certs",
		[SEV_WIRE_REPLY] = "reply",
	};

	return kind < SEV_WIRE_NR_KINDS && names[kind] ? names[kind] : "unknown";
}

/* CRC-32C (Castagnoli) finds each single bit, in messages of any length here. */
#define CRC_POLYNOMIAL	0x82f63b78

static uint32_t crc_of_byte(uint32_t byte)
{
	int i;

	for (i = 0; i < 8; i++)
		byte = byte >> 1 ^ (byte & 1 ? CRC_POLYNOMIAL : 0);
	return byte;
}

uint32_t sev_wire_crc(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = data;
	uint32_t i;

	if (!table[1])
		for (i = 0; i < 256; i++)
			table[i] = crc_of_byte(i);

	crc = ~crc;
	while (len--)
		crc = crc >> 8 ^ table[(uint8_t)(crc ^ *p++)];
	return ~crc;
}

static uint32_t head_crc(const struct sev_wire_head *head)
{
	return sev_wire_crc(0, head, offsetof(struct sev_wire_head, head_crc));
}

void sev_wire_seal(struct sev_wire_message *m, uint32_t kind, uint32_t number,
		   const void *body, uint32_t len)
{
	m->head = (struct sev_wire_head) {
		.magic = SEV_WIRE_MAGIC,
		.version = SEV_WIRE_VERSION,
		.kind = kind,
		.number = number,
		.len = len,
		.body_crc = sev_wire_crc(0, body, len),
	};
	m->head.head_crc = head_crc(&m->head);
	if (body != m->body)
		memcpy(m->body, body, len);
}

int sev_wire_write(int fd, const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= n;
	}
	return 0;
}

static int read_all(int fd, void *data, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, data, len, MSG_WAITALL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		data += n;
		len -= n;
	}
	return 0;
}

int sev_wire_send(int fd, const struct sev_wire_message *m)
{
	return sev_wire_write(fd, m, sizeof(m->head) + m->head.len);
}

int sev_wire_receive(int fd, struct sev_wire_message *m)
{
	int r = read_all(fd, &m->head, sizeof(m->head));

	if (r)
		return r;

	if (m->head.head_crc != head_crc(&m->head) ||
	    m->head.magic != SEV_WIRE_MAGIC ||
	    m->head.version != SEV_WIRE_VERSION ||
	    m->head.len > SEV_WIRE_BODY_MAX)
		return -EPROTO;

	r = read_all(fd, m->body, m->head.len);
	if (r)
		return r;

	return m->head.body_crc == sev_wire_crc(0, m->body, m->head.len) ? 0 : -EBADMSG;
}

/* Answers are waited for: none of them may wait for more to be sent. */
static int no_delay(int fd)
{
	int one = 1;

	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | (host ? 0 : AI_PASSIVE),
	};
	struct addrinfo *list;

	return getaddrinfo(host, port, &hints, &list) ? NULL : list;
}

int sev_wire_listen(const char *port)
{
	struct addrinfo *to = resolve(NULL, port);
	int fd, one = 1, r = 0;

	if (!to)
		return -EINVAL;

	fd = socket(to->ai_family, to->ai_socktype, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, to->ai_addr, to->ai_addrlen) || listen(fd, 1))
		r = -errno;
	freeaddrinfo(to);
	if (r && fd >= 0)
		close(fd);
	return r ?: fd;
}

int sev_wire_accept(int listener, int seconds)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int r;

	do {
		r = poll(&p, 1, seconds * 1000);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;

	r = accept(listener, NULL, NULL);
	return r < 0 ? -errno : no_delay(r);
}

static int connect_once(const struct addrinfo *to)
{
	int fd = socket(to->ai_family, to->ai_socktype, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (!connect(fd, to->ai_addr, to->ai_addrlen))
		return no_delay(fd);

	r = -errno;
	close(fd);
	return r;
}

int sev_wire_connect(const char *host, const char *port, int seconds)
{
	struct addrinfo *to = resolve(host, port);
	time_t end = time(NULL) + seconds;
	int r;

	if (!to)
		return -EINVAL;

	/* The other host may still be starting. */
	while ((r = connect_once(to)) < 0 && time(NULL) < end)
		usleep(100000);
	freeaddrinfo(to);
	return r;
}

void sev_wire_hang_up(int fd)
{
	char rest[256];

	/* Closing on data that nobody has read would take the answer back. */
	shutdown(fd, SHUT_WR);
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
	close(fd);
}
