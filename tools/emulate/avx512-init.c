/* Process 1 of the emulated machine: runs the programs that the host asks for.
 *
 * The host sends the number of a job and a newline on the second serial port; the job's file,
 * /jobs/N, holds strings ended by NUL: working directory, number of arguments, arguments,
 * environment. What the job prints goes to the host through the parallel port, which the
 * emulator writes to a pipe without the delays of a serial line. Frames on it:
 *
 *   'R'                      ready for a job
 *   'O' length16 bytes       output
 *   'E' status32 time64      the job ended: wait status, emulated nanoseconds
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PARALLEL = 0x378, SERIAL = 0x2f8, SHUTDOWN = 0x8900, MAX_STRINGS = 4096 };

static void put(const void *data, size_t size)
{
	const unsigned char *byte = data;
	for (size_t i = 0; i < size; i++) {
		outb(byte[i], PARALLEL);
		outb(0x0d, PARALLEL + 2); /* strobe */
		outb(0x0c, PARALLEL + 2);
	}
}

static void put_output(const void *data, uint16_t size)
{
	put("O", 1);
	put(&size, sizeof size);
	put(data, size);
}

static void fail(const char *what)
{
	char text[200];
	put_output(text, (uint16_t)snprintf(text, sizeof text, "init: %s: %m\n", what));
}

static int get_byte(void)
{
	while (!(inb(SERIAL + 5) & 1))
		usleep(1000);
	return inb(SERIAL);
}

static int get_number(void)
{
	int number = 0, byte;
	while ((byte = get_byte()) != '\n') {
		if (byte == 'q')
			return -1;
		if (byte >= '0' && byte <= '9')
			number = number * 10 + byte - '0';
	}
	return number;
}

static void start(int number)
{
	static char text[1 << 20];
	static char *strings[MAX_STRINGS];
	char path[40];
	snprintf(path, sizeof path, "/jobs/%d", number);
	int file = open(path, O_RDONLY);
	ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
	if (size <= 0) {
		perror(path);
		_exit(126);
	}
	close(file);
	size_t count = 0;
	for (char *s = text; s < text + size && count < MAX_STRINGS - 2; s += strlen(s) + 1)
		strings[count++] = s;
	/* directory, count, arguments…, environment… : the environment moves up by one to make
	 * room for the NULL that ends the arguments. */
	size_t arguments = strtoul(strings[1], NULL, 10);
	char **argv = strings + 2, **envp = argv + arguments;
	memmove(envp + 1, envp, (count - 2 - arguments) * sizeof *envp);
	*envp++ = NULL;
	strings[count + 1] = NULL;
	if (chdir(strings[0]) != 0) {
		perror(strings[0]);
		_exit(126);
	}
	execve(argv[0], argv, envp);
	perror(argv[0]);
	_exit(127);
}

static void run(int number)
{
	int pipes[2];
	struct timespec begin, end;
	if (pipe(pipes) != 0)
		fail("pipe");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		setsid();
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		close(pipes[0]);
		close(pipes[1]);
		start(number);
	}
	close(pipes[1]);
	char buffer[4096];
	ssize_t size;
	while ((size = read(pipes[0], buffer, sizeof buffer)) > 0)
		put_output(buffer, (uint16_t)size);
	close(pipes[0]);
	int status = 0;
	waitpid(child, &status, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	clock_gettime(CLOCK_MONOTONIC, &end);
	int32_t status32 = status;
	int64_t time64 = (end.tv_sec - begin.tv_sec) * 1000000000LL + end.tv_nsec - begin.tv_nsec;
	put("E", 1);
	put(&status32, sizeof status32);
	put(&time64, sizeof time64);
}

int main(void)
{
	mkdir("/tmp", 01777);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("proc", "/proc", "proc", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mkdir("/dev/shm", 01777);
	mount("tmpfs", "/dev/shm", "tmpfs", 0, "");
	if (iopl(3) != 0)
		return 1;
	outb(0x80, SERIAL + 3); /* 115200 baud, 8 bits, no FIFO, no interrupts */
	outb(1, SERIAL);
	outb(0, SERIAL + 1);
	outb(0x03, SERIAL + 3);
	outb(0, SERIAL + 1);
	outb(0, SERIAL + 2);
	for (int number;;) {
		put("R", 1);
		if ((number = get_number()) < 0)
			break;
		run(number);
	}
	for (const char *word = "Shutdown"; *word; word++)
		outb((unsigned char)*word, SHUTDOWN);
	for (;;)
		pause();
}
