/* io/file.h - whole small files: configuration, keys, the data directory.
 *
 * Blocking; at start-up, in command-line programs, and for the files of --web-root.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "base/base.h"
#include "base/str.h"

/* Appends the whole file; E_TOO_LARGE past out->max.  `mode` (may be NULL) gets its permission
 * bits. */
MUST_CHECK int file_read(const char *path, struct str *out, unsigned *mode);
/* Writes a new file with this mode and renames it into place: a reader sees all or nothing. */
MUST_CHECK int file_write(const char *path, struct bytes data, unsigned mode);
/* mkdir -p; the last one gets `mode`. */
MUST_CHECK int file_make_dir(const char *path, unsigned mode);
bool file_exists(const char *path);

#endif
