/*
 * passfile.c
 *		A password that is kept in a file.
 *
 * It is read whenever a connection is made, so that a new password needs no
 * reload.  As libpq does with its file, one that others can read is refused.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "redis/passfile.h"

static const char *passfile_check(int fd);

/*
 * Reads the first line of a file.  On failure returns false and a message.
 * Raises no error.
 */
bool
inval_passfile_read(const char *path, char password[INVAL_PASSWORD_LEN],
					char *error, Size error_size)
{
	/* Not to block where it is a pipe, which is refused below. */
	int			fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const char *problem;
	ssize_t		length;

	if (fd < 0)
	{
		snprintf(error, error_size, "could not open the password file: %s",
				 strerror(errno));
		return false;
	}
	problem = passfile_check(fd);
	if (problem == NULL)
	{
		length = read(fd, password, INVAL_PASSWORD_LEN);
		if (length < 0)
			problem = "password file cannot be read";
		else
		{
			/* One byte is left for the end, also of a line that has none. */
			Size		room = Min((Size) length, INVAL_PASSWORD_LEN - 1);

			password[room] = '\0';
			password[strcspn(password, "\r\n")] = '\0';
			if (password[0] == '\0')
				problem = "password file has an empty first line";
			else if (strlen(password) == INVAL_PASSWORD_LEN - 1)
				problem = "password file has too long a first line";
		}
	}
	(void) close(fd);
	if (problem != NULL)
		strlcpy(error, problem, error_size);
	return problem == NULL;
}

/*
 * Sees to it that what a server has answered does not contain the password.
 * One that does not know AUTH repeats its arguments, the last one cut off.
 */
void
inval_passfile_hide(const char *password, char *text, Size size)
{
	char	   *arguments = strstr(text, ", with args");

	if (arguments != NULL)
		*arguments = '\0';
	if (password[0] != '\0' && strstr(text, password) != NULL)
		strlcpy(text, "logging in was refused", size);
}

static const char *
passfile_check(int fd)
{
	struct stat file;

	if (fstat(fd, &file) != 0)
		return "password file cannot be examined";
	if (!S_ISREG(file.st_mode))
		return "password file is not a plain file";
	if (file.st_uid != geteuid())
		return "password file must be owned by the user that runs the server";
	if ((file.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "password file must be accessible to its owner only (chmod 0600)";
	return NULL;
}
